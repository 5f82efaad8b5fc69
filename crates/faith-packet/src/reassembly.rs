//! Puts the fragments of clients' datagrams together (RFC 8200 section 4.5), within strict bounds.
//!
//! The datagrams of relays do not enter the stack, so the kernel cannot do this: it would answer echo requests itself, and
//! refuse datagrams without a socket. A set of fragments with an overlap is dropped whole (RFC 5722). When there is no
//! room, the oldest incomplete packet makes room, of the same network if that has its share: fragments of a packet come
//! within milliseconds, so a flood of lone fragments pushes out its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::prefix::network_of;
use crate::{chain, ipv6, virtio};

/// The most packets that are incomplete at a time.
const MOST: usize = 128;

/// The most of them from one /64 network.
const MOST_PER_NETWORK: usize = 32;

/// The most octets that they hold together.
const MOST_OCTETS: usize = 4 << 20;

/// The most fragments of a packet: 64 KiB over links of the smallest MTU have 54.
const MOST_PIECES: usize = 64;

/// An incomplete packet is dropped after this long. RFC 8200 has 60 s, which no client waits for.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The length of a fragment header.
const HEADER_LEN: usize = 8;

/// The octets of data that a packet can have behind the fragment header, which stays.
const MAX_DATA: usize = 65_535 - HEADER_LEN;

/// The packets that are incomplete, the oldest first.
#[derive(Debug, Default)]
pub struct Reassembly {
    packets: VecDeque<Packet>,
    octets: usize,
    /// The fragments that were lost with their packets since [`lost`](Self::lost) was asked.
    lost: u64,
}

/// The outcome of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Gathered {
    /// The frame of the whole packet. It keeps a fragment header, as if it were one fragment: routers may fragment it.
    Whole(Vec<u8>),
    /// More fragments are to come.
    Waits,
    /// The packet is dropped: fragments overlap, are too many or too long, or contradict one another.
    Refused,
}

/// An incomplete packet.
#[derive(Debug)]
struct Packet {
    key: Key,
    began: Instant,
    /// True once fragments contradicted one another. Those that come later are refused, too.
    refused: bool,
    /// Octets of data, once the last fragment has come.
    length: Option<usize>,
    /// The first and the last but one octet of each fragment, in order.
    pieces: Vec<(usize, usize)>,
    data: Vec<u8>,
    /// The fixed header and the next header of the first fragment.
    first: Option<([u8; ipv6::HEADER_LEN], u8)>,
    /// True if a fragment had its congestion mark: the whole packet has it then (RFC 3168 section 5.3).
    congested: bool,
}

/// The fields that the fragments of a packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: u128,
    destination: u128,
    id: [u8; 4],
}

impl Reassembly {
    /// Adds the fragment in `frame`, which the classifier has judged.
    pub fn add(&mut self, frame: &[u8], now: Instant) -> Gathered {
        self.expire(now);
        match Piece::parse(frame) {
            Some(piece) => self.gather(&piece, now),
            None => Gathered::Refused,
        }
    }

    /// Drops the packets that have been incomplete for too long.
    pub fn expire(&mut self, now: Instant) {
        let is_old = |packet: &Packet| now.saturating_duration_since(packet.began) >= PATIENCE;
        while self.packets.front().is_some_and(is_old) {
            self.drop_incomplete(0);
        }
    }

    /// The number of fragments that were lost, since the last call, with packets that did not become whole. A fragment that
    /// [`add`](Self::add) refused is none of them.
    pub fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Returns true if no packet is incomplete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn gather(&mut self, piece: &Piece<'_>, now: Instant) -> Gathered {
        let known = self.packets.iter().position(|packet| packet.key == piece.key);
        let place = known.unwrap_or_else(|| {
            self.make_room(piece.key.source);
            self.packets.push_back(Packet::new(piece.key, now));
            self.packets.len() - 1
        });
        let Some(packet) = self.packets.get_mut(place) else { return Gathered::Refused };
        let (before, pieces) = (packet.data.len(), packet.pieces.len());
        let sound = packet.add(piece);
        let whole = packet.whole();
        let held = packet.data.len();
        self.octets = self.octets.saturating_sub(before) + held;
        if !sound {
            // A packet that was refused before has no fragments left.
            self.lost += pieces as u64;
            return Gathered::Refused;
        }
        if let Some(whole) = whole {
            self.remove(place);
            return Gathered::Whole(whole);
        }
        while self.octets > MOST_OCTETS {
            self.drop_incomplete(0);
        }
        Gathered::Waits
    }

    fn make_room(&mut self, source: u128) {
        let network = |source: u128| network_of(source.into(), 64);
        let same = |packet: &&Packet| network(packet.key.source) == network(source);
        if self.packets.iter().filter(same).count() >= MOST_PER_NETWORK
            && let Some(oldest) = self.packets.iter().position(|packet| same(&packet))
        {
            self.drop_incomplete(oldest);
        } else if self.packets.len() >= MOST {
            self.drop_incomplete(0);
        }
    }

    fn drop_incomplete(&mut self, place: usize) {
        if let Some(packet) = self.remove(place) {
            self.lost += packet.pieces.len() as u64;
        }
    }

    fn remove(&mut self, place: usize) -> Option<Packet> {
        let packet = self.packets.remove(place)?;
        self.octets = self.octets.saturating_sub(packet.data.len());
        Some(packet)
    }
}

/// One fragment.
struct Piece<'a> {
    key: Key,
    fixed: [u8; ipv6::HEADER_LEN],
    next: u8,
    offset: usize,
    more: bool,
    data: &'a [u8],
}

impl<'a> Piece<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let packet = frame.get(virtio::LEN..)?;
        let (header, payload) = ipv6::Header::parse(packet)?;
        let chain = chain::walk(header.next, payload).ok()?;
        let fragment = chain.fragment?;
        // The fragment header stands right before the data. Extension headers before it concern the way, and end here.
        let start = payload.len().checked_sub(chain.payload.len() + HEADER_LEN)?;
        let (&[_, _, _, _, i0, i1, i2, i3], _) = payload.get(start..)?.split_first_chunk::<HEADER_LEN>()?;
        Some(Self {
            key: Key { source: header.source, destination: header.destination, id: [i0, i1, i2, i3] },
            fixed: *packet.first_chunk()?,
            next: chain.protocol,
            offset: fragment.offset().into(),
            more: fragment.more(),
            data: chain.payload,
        })
    }
}

impl Packet {
    fn new(key: Key, began: Instant) -> Self {
        Self {
            key,
            began,
            refused: false,
            length: None,
            pieces: Vec::new(),
            data: Vec::new(),
            first: None,
            congested: false,
        }
    }

    /// Adds a fragment. Returns false if the packet is refused.
    fn add(&mut self, piece: &Piece<'_>) -> bool {
        if !self.refused && self.place(piece).is_none() {
            self.refused = true;
            self.pieces = Vec::new();
            self.data = Vec::new();
        }
        !self.refused
    }

    fn place(&mut self, piece: &Piece<'_>) -> Option<()> {
        let (start, end) = (piece.offset, piece.offset + piece.data.len());
        // A repeated fragment changes nothing (RFC 8200 section 4.5).
        if self.pieces.contains(&(start, end)) && self.data.get(start..end) == Some(piece.data) {
            return Some(());
        }
        let behind = self.pieces.partition_point(|(other, _)| *other < start);
        let overlaps = self.pieces.get(behind).is_some_and(|(next, _)| *next < end)
            || behind
                .checked_sub(1)
                .and_then(|before| self.pieces.get(before))
                .is_some_and(|(_, last)| *last > start);
        let last = self.pieces.last().map_or(0, |(_, last)| *last);
        let contradicts = match (piece.more, self.length) {
            (true, Some(length)) => end > length,
            (true, None) => false,
            (false, Some(_)) => true,
            (false, None) => end < last,
        };
        if overlaps || contradicts || end > MAX_DATA || self.pieces.len() >= MOST_PIECES {
            return None;
        }
        if !piece.more {
            self.length = Some(end);
        }
        if start == 0 {
            self.first = Some((piece.fixed, piece.next));
        }
        // Both bits of the traffic class's end stand in the second octet.
        self.congested |= piece.fixed[1] >> 4 & 3 == 3;
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data.get_mut(start..end)?.copy_from_slice(piece.data);
        self.pieces.insert(behind, (start, end));
        Some(())
    }

    /// The whole packet as a frame, once every fragment has come.
    fn whole(&self) -> Option<Vec<u8>> {
        let length = self.length.filter(|_| !self.refused)?;
        // Fragments do not overlap, so those without a gap have as many octets as the packet.
        let come: usize = self.pieces.iter().map(|(start, end)| end - start).sum();
        let (mut fixed, next) = self.first.filter(|_| come == length)?;
        let [l0, l1] = u16::try_from(HEADER_LEN + length).ok()?.to_be_bytes();
        (fixed[4], fixed[5], fixed[6]) = (l0, l1, chain::FRAGMENT);
        if self.congested && fixed[1] >> 4 & 3 != 0 {
            fixed[1] |= 3 << 4;
        }
        let [i0, i1, i2, i3] = self.key.id;
        let header = [next, 0, 0, 0, i0, i1, i2, i3];
        Some([&[0; virtio::LEN][..], &fixed, &header, self.data.get(..length)?].concat())
    }
}
