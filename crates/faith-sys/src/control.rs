//! Control messages of sendmsg(2) and recvmsg(2), as cmsg(3) lays them out.

/// Bytes of a message's header: its length with the header as `size_t`, then level and type as `int`.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// Room for the control messages of one call, aligned as the kernel requires.
#[derive(Debug)]
pub(crate) struct Control {
    words: [usize; Self::WORDS],
    length: usize,
}

impl Control {
    const WORDS: usize = 32;

    pub(crate) fn new() -> Self {
        Self { words: [0; Self::WORDS], length: 0 }
    }

    /// Adds a message of up to 16 bytes of data. One that finds no room is left out.
    pub(crate) fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let start = self.length / size_of::<usize>();
        let words = (HEADER + data.len()).div_ceil(size_of::<usize>());
        let Some(place) = self.words.get_mut(start..start + words) else { return };
        let mut octets = [0; HEADER + 16];
        let Some(room) = octets.get_mut(HEADER..HEADER + data.len()) else { return };
        room.copy_from_slice(data);
        octets[..size_of::<usize>()].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        octets[size_of::<usize>()..][..4].copy_from_slice(&level.to_ne_bytes());
        octets[size_of::<usize>() + 4..][..4].copy_from_slice(&kind.to_ne_bytes());
        for (word, octets) in place.iter_mut().zip(octets.as_chunks().0) {
            *word = usize::from_ne_bytes(*octets);
        }
        self.length += words * size_of::<usize>();
    }

    /// The place of the messages, for a call.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.words.as_mut_ptr().cast()
    }

    /// Bytes of the messages that were added.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Bytes of room.
    pub(crate) const fn room() -> usize {
        Self::WORDS * size_of::<usize>()
    }

    /// Calls `each` with level, type and data of each message of the first `length` bytes.
    pub(crate) fn read(&self, length: usize, mut each: impl FnMut(i32, i32, &[u8])) {
        let mut octets = [0; Self::WORDS * size_of::<usize>()];
        for (to, word) in octets.as_chunks_mut().0.iter_mut().zip(self.words) {
            *to = word.to_ne_bytes();
        }
        let mut rest = octets.get(..length).unwrap_or_default();
        while let Some((header, _)) = rest.split_first_chunk::<HEADER>() {
            let (size, numbers) = header.split_at(size_of::<usize>());
            let size = size.try_into().map_or(0, usize::from_ne_bytes);
            let (numbers, _) = numbers.as_chunks();
            let (Some(data), [level, kind]) = (rest.get(HEADER..size), numbers) else { return };
            each(i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), data);
            rest = rest.get(size.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
        }
    }
}

/// The number in the data of a message, which has one byte or four.
pub(crate) fn number(data: &[u8]) -> Option<i32> {
    match data {
        [byte] => Some((*byte).into()),
        _ => data.first_chunk().map(|octets| i32::from_ne_bytes(*octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut control = Control::new();
        control.push(1, 2, &7_i32.to_ne_bytes());
        control.push(5, 6, &[8; 12]);
        control.push(3, 4, &[9]);
        let mut read = Vec::new();
        control.read(control.length(), |level, kind, data| read.push((level, kind, data.to_vec())));
        assert_eq!(read, [(1, 2, 7_i32.to_ne_bytes().to_vec()), (5, 6, vec![8; 12]), (3, 4, vec![9])]);
        assert_eq!((number(&read[0].2), number(&read[2].2)), (Some(7), Some(9)));
    }

    #[test]
    fn cut_messages_and_messages_without_room_are_left_out() {
        let mut control = Control::new();
        for _ in 0..100 {
            control.push(1, 2, &[0; 4]);
        }
        assert!(control.length() <= Control::room());
        control.push(1, 2, &[0; 100]);
        for length in 0..=Control::room() {
            let mut read = 0;
            control.read(length, |_, _, _| read += 1);
            assert!(read <= length / HEADER);
        }
    }
}
