//! Frames of video as the payloads of packets.

pub mod h264;
pub mod vp8;

/// Takes the payload of the next packet, in pieces that follow one another.
pub type Emit<'a> = dyn FnMut(&[&[u8]]) + 'a;

/// The size of parts that are equal but for the last one, and as few as possible. Packets of one size leave together.
fn part(size: usize, limit: usize) -> usize {
    size.div_ceil(size.div_ceil(limit.max(1)).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_and_few() {
        assert_eq!((part(1, 1100), part(1100, 1100), part(1101, 1100)), (1, 1100, 551));
        assert_eq!([1, 1100, 1101, 9999].map(|size: usize| size.div_ceil(part(size, 1100))), [1, 1, 2, 10]);
    }
}
