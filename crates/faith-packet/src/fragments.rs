//! Fragments of an IPv6 packet that is too long for a link (RFC 8200 section 4.5).

use crate::ipv6;
use crate::virtio;

/// The length of a fragment header.
const HEADER_LEN: usize = 8;

const FRAGMENT: u8 = 44;

/// The fragments of a packet without extension headers, each as a frame whose checksum is complete.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    fixed: &'a [u8; ipv6::HEADER_LEN],
    payload: &'a [u8],
    offset: usize,
    /// The most octets of payload in one fragment, a multiple of 8.
    share: usize,
    id: u32,
}

impl<'a> Fragments<'a> {
    /// Divides `packet` for a link of this MTU. `id` must not repeat soon for the same two addresses. `None` if the packet
    /// is no IPv6 packet or is too long, or if the MTU leaves no room.
    #[must_use]
    pub fn new(packet: &'a [u8], mtu: u16, id: u32) -> Option<Self> {
        let (fixed, payload) = packet.split_first_chunk()?;
        let share = usize::from(mtu).checked_sub(ipv6::HEADER_LEN + HEADER_LEN)? & !7;
        let sound = share > 0 && u16::try_from(payload.len()).is_ok();
        sound.then_some(Self { fixed, payload, offset: 0, share, id })
    }

    /// Writes the next fragment, and returns its length. `None` after the last one, or if `out` is too short for it.
    pub fn next(&mut self, out: &mut [u8]) -> Option<usize> {
        let rest = self.payload.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let piece = rest.get(..self.share).unwrap_or(rest);
        let more = piece.len() < rest.len();
        let (start, packet) = out.split_first_chunk_mut::<{ virtio::LEN }>()?;
        *start = [0; virtio::LEN];
        let (fixed, behind) = packet.split_first_chunk_mut()?;
        *fixed = *self.fixed;
        let length = HEADER_LEN + piece.len();
        let [l0, l1] = u16::try_from(length).ok()?.to_be_bytes();
        let [.., length_high, length_low, next, _] = fixed.first_chunk_mut::<8>()?;
        (*length_high, *length_low) = (l0, l1);
        let protocol = std::mem::replace(next, FRAGMENT);
        let [o0, o1] = (u16::try_from(self.offset).ok()? | u16::from(more)).to_be_bytes();
        let [i0, i1, i2, i3] = self.id.to_be_bytes();
        let (header, data) = behind.split_first_chunk_mut()?;
        *header = [protocol, 0, o0, o1, i0, i1, i2, i3];
        data.get_mut(..piece.len())?.copy_from_slice(piece);
        self.offset += piece.len();
        Some(virtio::LEN + ipv6::HEADER_LEN + length)
    }
}
