//! VP8 (RFC 7741): a descriptor, and a part of the frame.

use super::{Emit, part};

const DESCRIPTOR: usize = 6;

/// The numbers of a stream's frames. They are there in each packet, also without temporal layers: the receiver sees which
/// frames it lacks.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// 15 bits.
    picture: u16,
    /// Counts the frames of the lowest temporal layer.
    base: u8,
}

impl Numbers {
    /// `random`: where they begin.
    pub fn new(random: [u8; 2]) -> Numbers {
        Numbers { picture: u16::from_be_bytes(random) & 0x7fff, base: random[1] }
    }

    /// Make the payloads of a frame, each of at most `limit` bytes.
    pub fn packetize(&mut self, frame: &[u8], temporal: u8, limit: usize, emit: &mut Emit<'_>) {
        self.picture = (self.picture + 1) & 0x7fff;
        if temporal == 0 {
            self.base = self.base.wrapping_add(1);
        }
        let [high, low] = (self.picture | 0x8000).to_be_bytes();
        // Extended, the start of a partition; with picture id, TL0PICIDX and temporal layer.
        let mut descriptor = [0x90, 0xe0, high, low, self.base, temporal.min(3) << 6];
        for part in frame.chunks(part(frame.len(), limit.saturating_sub(DESCRIPTOR))) {
            emit(&[&descriptor, part]);
            descriptor[0] = 0x80;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(numbers: &mut Numbers, frame: &[u8], temporal: u8) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        numbers.packetize(frame, temporal, 1100, &mut |pieces| out.push(pieces.concat()));
        out
    }

    #[test]
    fn a_frame_is_cut_into_equal_parts_of_which_the_first_says_so() {
        let mut numbers = Numbers::new([0xff, 0xff]);
        let frame: Vec<u8> = (0..3000u32).map(|at| at as u8).collect();
        let out = payloads(&mut numbers, &frame, 0);
        assert_eq!(out.iter().map(Vec::len).collect::<Vec<_>>(), [1006; 3]);
        assert_eq!(out[0][..DESCRIPTOR], [0x90, 0xe0, 0x80, 0, 0, 0], "the picture id has wrapped");
        assert_eq!(out[1][..DESCRIPTOR], [0x80, 0xe0, 0x80, 0, 0, 0]);
        assert_eq!(out.iter().flat_map(|one| &one[DESCRIPTOR..]).copied().collect::<Vec<_>>(), frame);
    }

    #[test]
    fn a_frame_of_a_higher_layer_names_the_base_before_it() {
        let mut numbers = Numbers::new([0, 8]);
        let of = |numbers: &mut Numbers, temporal| payloads(numbers, &[1], temporal)[0][2..6].to_vec();
        assert_eq!(of(&mut numbers, 0), [0x80, 9, 9, 0]);
        assert_eq!(of(&mut numbers, 2), [0x80, 10, 9, 0x80]);
        assert_eq!(of(&mut numbers, 1), [0x80, 11, 9, 0x40]);
        assert_eq!(of(&mut numbers, 0), [0x80, 12, 10, 0]);
    }

    #[test]
    fn an_empty_frame_makes_no_packet() {
        assert!(payloads(&mut Numbers::new([0, 0]), &[], 0).is_empty());
    }
}
