//! A strict receiver of the PROXY protocol, written from the specification and not from the builder.

use std::net::{Ipv6Addr, SocketAddrV6};

/// The client, and the address that it dialled.
pub(crate) type Ends = (SocketAddrV6, SocketAddrV6);

/// Reads a line of version 1 word by word (section 2.1).
pub(crate) fn read_v1(octets: &[u8]) -> Option<Ends> {
    let line = std::str::from_utf8(octets).ok()?.strip_suffix("\r\n")?;
    if line.contains(['\r', '\n']) || octets.len() > 104 {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let ["PROXY", "TCP6", from, to, from_port, to_port] = words[..] else { return None };
    let end = |address, port| Some(SocketAddrV6::new(groups(address)?, decimal(port)?, 0, 0));
    Some((end(from, from_port)?, end(to, to_port)?))
}

/// Reads groups of one to four hexadecimal digits, with at most one run of zeros left out.
fn groups(text: &str) -> Option<Ipv6Addr> {
    let read = |part: &str| -> Option<Vec<u16>> {
        let groups = part.split(':').filter(|_| !part.is_empty());
        groups
            .map(|group| {
                let digits = group.bytes().all(|digit| digit.is_ascii_hexdigit());
                let group = (digits && (1..=4).contains(&group.len())).then_some(group)?;
                u16::from_str_radix(group, 16).ok()
            })
            .collect()
    };
    let groups = match text.split_once("::") {
        None => read(text)?,
        Some((before, behind)) => {
            let (mut groups, behind) = (read(before)?, read(behind)?);
            let zeros = 8_usize.checked_sub(groups.len() + behind.len()).filter(|zeros| *zeros > 0)?;
            groups.extend(std::iter::repeat_n(0, zeros).chain(behind));
            groups
        }
    };
    Some(Ipv6Addr::from(<[u16; 8]>::try_from(groups).ok()?))
}

fn decimal(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}

/// Reads a header of version 2 octet by octet (section 2.2).
pub(crate) fn read_v2(octets: &[u8]) -> Option<Ends> {
    let octets = octets.strip_prefix(b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A")?;
    let (&[version_command, family_protocol, l0, l1], addresses) = octets.split_first_chunk::<4>()?;
    let (version, command) = (version_command >> 4, version_command & 0xf);
    let (family, protocol) = (family_protocol >> 4, family_protocol & 0xf);
    let length = u16::from_be_bytes([l0, l1]);
    if [version, command, family, protocol] != [2, 1, 2, 1] || length != 36 {
        return None;
    }
    let (from, rest) = addresses.split_first_chunk::<16>()?;
    let (to, ports) = rest.split_first_chunk::<16>()?;
    let &[f0, f1, t0, t1] = ports else { return None };
    let end = |address: &[u8; 16], port| SocketAddrV6::new((*address).into(), u16::from_be_bytes(port), 0, 0);
    Some((end(from, [f0, f1]), end(to, [t0, t1])))
}
