//! The Internet checksum (RFC 1071) and the pseudo-header of IPv6 (RFC 8200 section 8.1).

/// The checksum of `octets`, as a header field carries it. Zero if the octets include their own
/// correct checksum.
#[must_use]
pub fn internet(octets: &[u8]) -> u16 {
    !fold(sum(0, octets))
}

/// The checksum of an upper-layer packet over IPv6. The checksum field inside `payload` must be zero.
///
/// Payloads beyond 4 GiB do not exist in IPv6; their length is taken modulo 2^32.
#[must_use]
pub fn ipv6(source: u128, destination: u128, next_header: u8, payload: &[u8]) -> u16 {
    let [.., l0, l1, l2, l3] = (payload.len() as u64).to_be_bytes();
    let mut total = sum(0, &source.to_be_bytes());
    total = sum(total, &destination.to_be_bytes());
    total = sum(total, &[l0, l1, l2, l3, 0, 0, 0, next_header]);
    !fold(sum(total, payload))
}

/// The sum of the pseudo-header of an upper-layer packet of this length, not complemented: a checksum field holds it when a
/// device is to add the rest.
pub(crate) fn pseudo_header(source: u128, destination: u128, next_header: u8, length: u16) -> u16 {
    let [high, low] = length.to_be_bytes();
    let total = sum(sum(0, &source.to_be_bytes()), &destination.to_be_bytes());
    fold(sum(total, &[0, 0, high, low, 0, 0, 0, next_header]))
}

/// Adds octets to a 64-bit one's complement sum. The sum is in the machine's byte order (RFC 1071
/// section 2(B) allows that) and eight octets wide (section 2(C)).
fn sum(start: u64, octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<8>();
    let mut total = start;
    for word in words {
        total = add(total, u64::from_ne_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    add(total, u64::from_ne_bytes(last))
}

#[inline]
fn add(a: u64, b: u64) -> u64 {
    let (total, carry) = a.overflowing_add(b);
    total.wrapping_add(u64::from(carry))
}

/// Folds a sum to 16 bits, in network order.
fn fold(total: u64) -> u16 {
    let mut total = total;
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    u16::from_be(u16::try_from(total).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
