//! H.264 (RFC 6184): single NAL units, STAP-A and FU-A, which is all of the modes 0 and 1.

use super::Start;

const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Parameter sets that are kept for pictures which come without.
const MAX_SETS: usize = 8192;

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}

pub fn start(payload: &[u8]) -> Start {
    let mut kinds = match kind(payload) {
        STAP_A => units(&payload[1..]).unwrap_or_default().into_iter().map(kind).collect(),
        FU_A => payload.get(1).filter(|head| *head & 0x80 != 0).map(|head| head & 0x1f).into_iter().collect(),
        kind => vec![kind],
    };
    kinds.retain(|kind| [IDR, SPS].contains(kind));
    match (kinds.contains(&SPS), kinds.is_empty()) {
        (true, _) => Start::Key,
        (_, false) => Start::KeyPicture,
        _ => Start::Unknown,
    }
}

/// The NAL units of an aggregate; None: it is malformed.
fn units(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    while let Some((size, after)) = rest.split_first_chunk::<2>() {
        let (unit, after) = after.split_at_checked(u16::from_be_bytes(*size).into())?;
        if !(1..STAP_A).contains(&kind(unit)) {
            return None; // empty, or an aggregate within an aggregate
        }
        units.push(unit);
        rest = after;
    }
    (rest.is_empty() && !units.is_empty()).then_some(units)
}

/// A whole access unit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Picture {
    pub is_key: bool,
    /// Whether it has a picture at all: parameter sets may come alone.
    pub has_picture: bool,
    /// Whether it has the parameter sets that a decoder begins with.
    has_sets: bool,
    /// NAL units, each with a start code in front of it.
    pub data: Vec<u8>,
}

/// Parameter sets that have come last.
#[derive(Debug, Default)]
pub struct Sets {
    units: Vec<Vec<u8>>,
}

impl Sets {
    /// Note a parameter set. Another one of its kind and number makes room for it.
    fn note(&mut self, unit: &[u8]) {
        if kind(unit) == SPS {
            self.units.clear();
        } else if self.units.iter().any(|known| known == unit) {
            return;
        }
        let size: usize = self.units.iter().map(Vec::len).sum();
        if size + unit.len() <= MAX_SETS {
            self.units.push(unit.to_vec());
        }
    }

    fn is_whole(&self) -> bool {
        [SPS, PPS].iter().all(|wanted| self.units.iter().any(|unit| kind(unit) == *wanted))
    }
}

impl Picture {
    fn add(&mut self, unit: &[u8], sets: &mut Sets) {
        let kind = kind(unit);
        self.has_picture |= (1..=IDR).contains(&kind);
        self.is_key |= kind == IDR;
        self.has_sets |= kind == SPS;
        if kind == SPS || kind == PPS {
            sets.note(unit);
        }
        self.data.extend_from_slice(&START_CODE);
        self.data.extend_from_slice(unit);
    }
}

/// Put an access unit together; None: a packet is malformed, of another mode, or a fragment without its others.
pub fn assemble<'p>(payloads: impl Iterator<Item = &'p [u8]>, sets: &mut Sets) -> Option<Picture> {
    let mut picture = Picture::default();
    let mut fragments: Option<Vec<u8>> = None;
    for payload in payloads {
        if kind(payload) == FU_A {
            let (&[indicator, head], body) = payload.split_first_chunk::<2>()?;
            let (is_first, is_last, unit_head) =
                (head & 0x80 != 0, head & 0x40 != 0, indicator & 0xe0 | head & 0x1f);
            if body.is_empty() || !(1..STAP_A).contains(&(unit_head & 0x1f)) {
                return None;
            }
            let mut unit = match (fragments.take(), is_first) {
                (None, true) => vec![unit_head],
                (Some(begun), false) if begun[0] == unit_head => begun,
                _ => return None, // of another NAL unit, or its beginning is not here
            };
            unit.extend_from_slice(body);
            if is_last {
                picture.add(&unit, sets);
            } else {
                fragments = Some(unit);
            }
            continue;
        }
        if fragments.is_some() {
            return None; // its end is not here
        }
        match kind(payload) {
            STAP_A => units(&payload[1..])?.into_iter().for_each(|unit| picture.add(unit, sets)),
            1..STAP_A => picture.add(payload, sets),
            _ => return None,
        }
    }
    if picture.is_key && !picture.has_sets && sets.is_whole() {
        let known = sets.units.iter().flat_map(|unit| START_CODE.iter().chain(unit));
        picture.data = known.chain(&picture.data).copied().collect();
    }
    (fragments.is_none() && !picture.data.is_empty()).then_some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(parts: &[&[u8]]) -> Option<Picture> {
        assemble(parts.iter().copied(), &mut Sets::default())
    }

    #[test]
    fn the_three_kinds_of_packets_give_nal_units_with_start_codes() {
        let stap = [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3];
        let parts: [&[u8]; 4] = [&stap, &[0x7c, 0x85, 4], &[0x7c, 5, 5], &[0x7c, 0x45, 6]];
        let picture = join(&parts).expect("an access unit");
        assert!(picture.is_key && picture.has_picture);
        let expected = [&[0, 0, 0, 1, 0x67, 1, 2][..], &[0, 0, 0, 1, 0x68, 3], &[0, 0, 0, 1, 0x65, 4, 5, 6]];
        assert_eq!(picture.data, expected.concat());
        let single = join(&[&[0x41, 9]]).expect("a slice");
        assert_eq!(
            (single.is_key, single.has_picture, single.data),
            (false, true, vec![0, 0, 0, 1, 0x41, 9])
        );
        assert!(!join(&[&stap]).expect("parameter sets alone").has_picture);
    }

    #[test]
    fn fragments_of_different_nal_units_are_never_joined() {
        let (begin, end): (&[u8], &[u8]) = (&[0x7c, 0x85, 1], &[0x7c, 0x45, 2]);
        assert!(join(&[begin, end]).is_some());
        for parts in [
            &[begin, &[0x7c, 0x41, 2]][..],        // the end of another kind
            &[begin, &[0x5c, 0x45, 2]],            // of another importance
            &[begin, begin, end],                  // begun twice
            &[begin, &[0x41, 9], end],             // a unit in between
            &[begin],                              // no end
            &[end],                                // no beginning
            &[begin, &[0x78, 0, 2, 0x68, 3], end], // an aggregate in between
        ] {
            assert_eq!(join(parts), None, "{parts:x?}");
        }
    }

    #[test]
    fn malformed_packets_are_none_and_no_panic() {
        for payload in [
            &[0x18, 0, 0, 0x7c][..],
            &[0x18],
            &[0x18, 0],
            &[0x18, 0, 5, 1],
            &[0x18, 0, 1, 0x18],
            &[0x7c],
            &[0x7c, 0x85],
            &[0x7c, 0xdc, 1],
            &[0x7c, 0x80, 1],
            &[0x1d, 0x85, 0, 0, 1],
            &[0x00, 1],
            &[0x1f],
            &[],
        ] {
            assert_eq!(join(&[payload]), None, "{payload:x?}");
            assert_eq!(join(&[&[0x41, 9], payload]), None, "{payload:x?}");
            start(payload);
        }
    }

    #[test]
    fn a_key_frame_without_its_parameter_sets_gets_those_that_came_before() {
        let mut sets = Sets::default();
        let mut join = |parts: &[&[u8]]| assemble(parts.iter().copied(), &mut sets).expect("a picture").data;
        join(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]]);
        assert_eq!(join(&[&[0x65, 4]]), [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 4]);
        assert_eq!(join(&[&[0x41, 4]]), [0, 0, 0, 1, 0x41, 4]);
        join(&[&[0x67, 9], &[0x68, 8], &[0x65, 3]]);
        assert!(join(&[&[0x65, 4]]).starts_with(&[0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x68, 8]));
    }

    #[test]
    fn the_beginning_of_a_key_frame_is_seen() {
        assert_eq!(start(&[0x67, 1]), Start::Key);
        assert_eq!(start(&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1]), Start::Key);
        assert_eq!(start(&[0x65, 1]), Start::KeyPicture);
        assert_eq!(start(&[0x7c, 0x85, 1]), Start::KeyPicture);
        assert_eq!(start(&[0x7c, 0x05, 1]), Start::Unknown);
        assert_eq!(start(&[0x41, 1]), Start::Unknown);
    }
}
