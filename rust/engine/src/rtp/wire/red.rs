//! Redundancy (RFC 2198): the blocks of a payload.

/// One block: its payload type, how much older than the packet's timestamp it is, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub payload_type: u8,
    pub age: u32,
    pub bytes: &'a [u8],
}

/// The most blocks of a packet that are looked at.
const MAX_BLOCKS: usize = 8;

/// The blocks of a payload, the primary one last; empty: it is malformed.
pub fn blocks(payload: &[u8]) -> Vec<Block<'_>> {
    split(payload).unwrap_or_default()
}

fn split(payload: &[u8]) -> Option<Vec<Block<'_>>> {
    let (mut rest, mut heads) = (payload, Vec::new());
    loop {
        let (&first, after) = rest.split_first()?;
        if first & 0x80 == 0 {
            heads.push((first, 0, None));
            rest = after;
            break;
        }
        let head = rest.get(..4)?;
        let word = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        heads.push((first & 0x7f, word >> 10, Some((word & 0x3ff) as usize)));
        rest = &rest[4..];
        if heads.len() >= MAX_BLOCKS {
            return None;
        }
    }
    let mut blocks = Vec::with_capacity(heads.len());
    for (payload_type, age, length) in heads {
        let (bytes, after) = rest.split_at_checked(length.unwrap_or(rest.len()))?;
        rest = after;
        blocks.push(Block { payload_type, age, bytes });
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_block_is_the_last_and_takes_what_is_left() {
        let payload = [0x80 | 111, 0x0f, 0x00, 0x02, 111, 1, 2, 3, 4];
        let expected = [
            Block { payload_type: 111, age: 960, bytes: &[1, 2] },
            Block { payload_type: 111, age: 0, bytes: &[3, 4] },
        ];
        assert_eq!(blocks(&payload), expected);
        assert_eq!(blocks(&[111]), [Block { payload_type: 111, age: 0, bytes: &[] }]);
    }

    #[test]
    fn what_is_malformed_has_no_blocks() {
        assert_eq!(blocks(&[]), []);
        assert_eq!(blocks(&[0x80, 0, 0]), [], "a head is cut off");
        assert_eq!(blocks(&[0x80 | 111, 0, 0, 9, 111, 1]), [], "longer than the payload");
        assert_eq!(blocks(&[0xff; 200]), [], "too many");
    }
}
