//! H264 (RFC 6184, packetization mode 1): one unit, several small ones together (STAP-A), or parts of a large one (FU-A).

use super::{Emit, part};

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;

/// Return the units of a frame in the form of Annex B: behind start codes. Empty: there are no start codes.
pub fn units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(frame);
    std::iter::from_fn(move || {
        let unit = rest?;
        rest = after_start_code(unit);
        let end = rest.map_or(unit.len(), |after| unit.len() - after.len() - 3);
        // A unit ends with a bit that is set: zeros behind it are of the next start code, or padding.
        let end = unit[..end].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        Some(&unit[..end])
    })
    .filter(|unit| unit.first().is_some_and(|head| !matches!(head & 31, DELIMITER | FILLER)))
}

/// The bytes behind the first start code.
fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    // The third byte of a start code is a 1. Few other bytes are, so the search begins with it.
    while let Some(at) = bytes.get(from + 2..)?.iter().position(|byte| *byte == 1) {
        let at = from + 2 + at;
        if bytes[at - 2..at] == [0, 0] {
            return Some(&bytes[at + 1..]);
        }
        from = at - 1;
    }
    None
}

/// Make the payloads of a frame, each of at most `limit` bytes.
pub fn packetize(frame: &[u8], limit: usize, emit: &mut Emit<'_>) {
    let mut together: Vec<&[u8]> = Vec::new();
    let mut size = 1;
    for unit in units(frame) {
        if !together.is_empty() && size + 2 + unit.len() > limit {
            flush(&mut together, emit);
            size = 1;
        }
        if unit.len() > limit {
            fragment(unit, limit, emit);
        } else {
            size += 2 + unit.len();
            together.push(unit);
        }
    }
    flush(&mut together, emit);
}

fn flush(together: &mut Vec<&[u8]>, emit: &mut Emit<'_>) {
    match together[..] {
        [] => {}
        [unit] => emit(&[unit]),
        [..] => {
            // The importance is the highest of all, and one that is forbidden makes it so (section 5.7.1).
            let importance = together.iter().map(|unit| unit[0] & 0x60).max().unwrap_or(0);
            let forbidden = together.iter().fold(0, |bits, unit| bits | unit[0] & 0x80);
            let head = [forbidden | importance | STAP_A];
            let sizes: Vec<[u8; 2]> = together.iter().map(|unit| (unit.len() as u16).to_be_bytes()).collect();
            let mut pieces: Vec<&[u8]> = vec![&head];
            for (size, unit) in sizes.iter().zip(together.iter()) {
                pieces.extend([&size[..], unit]);
            }
            emit(&pieces);
        }
    }
    together.clear();
}

fn fragment(unit: &[u8], limit: usize, emit: &mut Emit<'_>) {
    let (head, body) = (unit[0], &unit[1..]);
    let mut parts = body.chunks(part(body.len(), limit.saturating_sub(2))).peekable();
    let mut start = 0x80;
    while let Some(part) = parts.next() {
        let end = if parts.peek().is_none() { 0x40 } else { 0 };
        emit(&[&[head & 0xe0 | FU_A, start | end | head & 31], part]);
        start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(frame: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        packetize(frame, 1100, &mut |pieces| out.push(pieces.concat()));
        out
    }

    #[test]
    fn units_are_found_behind_start_codes_of_both_lengths() {
        let frame = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 9];
        let found: Vec<&[u8]> = units(&frame).collect();
        assert_eq!(found, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 9]]);
        assert_eq!(units(&[0x67, 1, 2]).count(), 0, "no start code");
        assert_eq!(units(&[0, 0, 1]).count() + units(&[0, 0, 1, 0, 0, 1]).count(), 0, "empty units");
        assert_eq!(units(&[]).count() + units(&[0, 0]).count(), 0);
        let delimited = [0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 7, 0, 0, 1, 12, 0xff];
        assert_eq!(units(&delimited).collect::<Vec<_>>(), [&[0x41, 7]], "no delimiter and no filler");
    }

    #[test]
    fn parameter_sets_go_together_and_a_large_unit_in_equal_parts() {
        let mut frame = vec![0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x28, 3, 0, 0, 0, 1, 0x65];
        frame.extend((0..3000u32).map(|at| at as u8 | 1));
        let out = payloads(&frame);
        assert_eq!(out[0], [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3]);
        assert_eq!(out[1..].iter().map(Vec::len).collect::<Vec<_>>(), [1002; 3]);
        let heads: Vec<_> = out[1..].iter().map(|one| [one[0], one[1]]).collect();
        assert_eq!(heads, [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
        let joined: Vec<u8> = out[1..].iter().flat_map(|one| &one[2..]).copied().collect();
        assert_eq!(joined, frame[18..]);
    }

    #[test]
    fn a_single_unit_is_sent_as_it_is() {
        assert_eq!(payloads(&[0, 0, 1, 0x41, 1, 2, 3]), [[0x41, 1, 2, 3]]);
        assert!(payloads(&[1, 2, 3]).is_empty());
    }

    #[test]
    fn no_payload_is_longer_than_its_limit() {
        for size in [1, 500, 1097, 1098, 1100, 1101, 2198, 2199, 5000] {
            let unit: Vec<u8> = [&[0, 0, 1, 0x41][..], &vec![7; size]].concat();
            let frame = [&[0, 0, 1, 0x67, 9][..], &unit, &unit].concat();
            assert!(payloads(&frame).iter().all(|one| one.len() <= 1100), "{size}");
        }
    }
}
