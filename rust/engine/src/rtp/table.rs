//! The receiver of a packet: by its MID, its stream, or its payload type (RFC 9143 section 9.2).

use std::time::{Duration, Instant};

use super::section::{AUDIO_LEVEL, Format, MID, Payload, Section, TRANSPORT_CC};
use super::wire::extensions::elements;
use super::wire::header::Header;

/// How long packets with the numbers of the negotiation before are still understood.
const BEFORE: Duration = Duration::from_secs(2);

/// The sections of one negotiation.
#[derive(Debug, Default)]
pub struct Table {
    pub sections: Vec<Section>,
}

/// The header extensions of a packet that are understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marks<'a> {
    mid: Option<&'a [u8]>,
    pub level: Option<u8>,
    /// The transport-wide number.
    pub number: Option<u16>,
}

impl Table {
    /// Read the extensions of a packet. Their numbers mean the same in all sections of a bundle (RFC 9143 section 9.1).
    fn marks<'a>(&self, header: &Header, packet: &'a [u8]) -> Marks<'a> {
        let Some((profile, range)) = &header.extension else { return Marks::default() };
        let number = |name| self.sections.iter().find_map(|section| section.extension(name));
        let (mid, level, wide) = (number(MID), number(AUDIO_LEVEL), number(TRANSPORT_CC));
        let mut marks = Marks::default();
        for (id, value) in elements(*profile, &packet[range.clone()]) {
            if Some(id) == mid {
                marks.mid = Some(value);
            } else if Some(id) == level {
                marks.level = value.first().map(|byte| byte & 0x7f);
            } else if Some(id) == wide {
                marks.number = value.first_chunk().map(|two| u16::from_be_bytes(*two));
            }
        }
        marks
    }

    /// The section of a packet of a stream that is bound to `bound`, or is not bound yet.
    fn section(&self, header: &Header, marks: &Marks<'_>, bound: Option<&str>) -> Option<&Section> {
        let mut receiving = self.sections.iter().filter(|section| section.receives);
        if let Some(mid) = marks.mid {
            return receiving.find(|section| section.mid.as_bytes() == mid);
        }
        if let Some(mid) = bound {
            return receiving.find(|section| section.mid == mid);
        }
        if let Some(section) = receiving.clone().find(|section| section.ssrcs.contains(&header.ssrc)) {
            return Some(section);
        }
        let mut able = receiving.filter(|section| format(section, header.payload_type).is_some());
        let first = able.next()?;
        able.next().is_none().then_some(first) // two sections have it: nobody knows whose it is
    }
}

fn format(section: &Section, payload_type: u8) -> Option<&Format> {
    section.receive.iter().find(|format| format.payload_type == payload_type)
}

/// Where a packet belongs.
#[derive(Debug)]
pub struct Destination<'t> {
    pub section: &'t Section,
    pub format: &'t Format,
    pub payload: Payload,
    pub level: Option<u8>,
    pub number: Option<u16>,
}

/// The sections of now, and those of the negotiation before while packets of it may still come.
#[derive(Debug, Default)]
pub struct Tables {
    epoch: u32,
    now: Table,
    before: Option<(Table, Instant)>,
}

impl Tables {
    pub fn sections(&self) -> &[Section] {
        &self.now.sections
    }

    /// Replace the sections. The same epoch changes them without keeping those of before.
    pub fn apply(&mut self, now: Instant, epoch: u32, sections: Vec<Section>) {
        let before = std::mem::replace(&mut self.now, Table { sections });
        if epoch != self.epoch {
            self.epoch = epoch;
            self.before = Some((before, now + BEFORE));
        }
    }

    /// The section and the format of a packet. `bound`: the MID that its stream has had.
    pub fn find(
        &self,
        now: Instant,
        header: &Header,
        packet: &[u8],
        bound: Option<&str>,
    ) -> Option<Destination<'_>> {
        let before = self.before.as_ref().filter(|(_, until)| now < *until).map(|(table, _)| table);
        [Some(&self.now), before].into_iter().flatten().find_map(|table| {
            let marks = table.marks(header, packet);
            let section = table.section(header, &marks, bound)?;
            let is_received = |one: &Section| one.receives && one.mid == section.mid;
            if !self.now.sections.iter().any(is_received) {
                return None; // it was received before, and is not any longer
            }
            let format = format(section, header.payload_type)?;
            let Marks { level, number, .. } = marks;
            Some(Destination { section, format, payload: format.payload(), level, number })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::section::section;
    use super::super::wire::extensions::Writer;
    use super::super::wire::header::NewHeader;
    use super::*;

    fn packet(payload_type: u8, ssrc: u32, mid: Option<&str>) -> Vec<u8> {
        let mut writer = Writer::default();
        if let Some(mid) = mid {
            writer.add(4, mid.as_bytes());
        }
        let mut out = Vec::new();
        let has_extension = !writer.is_empty();
        NewHeader { payload_type, marker: false, sequence: 1, timestamp: 1, ssrc, has_extension }
            .write(&mut out);
        writer.write(&mut out);
        out
    }

    fn mid_of<'t>(tables: &'t Tables, now: Instant, packet: &[u8], bound: Option<&str>) -> Option<&'t str> {
        let header = Header::parse(packet).expect("a header");
        tables.find(now, &header, packet, bound).map(|found| found.section.mid.as_str())
    }

    fn tables(now: Instant, sections: Vec<Section>) -> Tables {
        let mut tables = Tables::default();
        tables.apply(now, 1, sections);
        tables
    }

    #[test]
    fn the_mid_decides_before_the_stream_and_that_before_the_payload_type() {
        let now = Instant::now();
        let mut second = section("b", 111);
        second.ssrcs = vec![7];
        let tables = tables(now, vec![section("a", 111), second, section("c", 96)]);
        assert_eq!(mid_of(&tables, now, &packet(111, 7, Some("a")), Some("b")), Some("a"));
        assert_eq!(mid_of(&tables, now, &packet(111, 7, None), Some("a")), Some("a"));
        assert_eq!(mid_of(&tables, now, &packet(111, 7, None), None), Some("b"));
        assert_eq!(mid_of(&tables, now, &packet(96, 8, None), None), Some("c"));
        assert_eq!(mid_of(&tables, now, &packet(111, 8, None), None), None, "two sections have it");
        assert_eq!(
            mid_of(&tables, now, &packet(96, 7, Some("a")), None),
            None,
            "not a number of that section"
        );
        assert_eq!(mid_of(&tables, now, &packet(111, 7, Some("x")), None), None);
    }

    #[test]
    fn numbers_of_the_negotiation_before_count_for_two_seconds() {
        let now = Instant::now();
        let mut tables = tables(now, vec![section("a", 111)]);
        tables.apply(now, 2, vec![section("a", 96)]);
        assert_eq!(mid_of(&tables, now, &packet(96, 7, None), Some("a")), Some("a"));
        assert_eq!(mid_of(&tables, now, &packet(111, 7, None), Some("a")), Some("a"));
        assert_eq!(mid_of(&tables, now + BEFORE, &packet(111, 7, None), Some("a")), None);
        tables.apply(now, 2, vec![section("a", 97)]);
        assert_eq!(mid_of(&tables, now, &packet(96, 7, None), Some("a")), None, "the same epoch changes it");
    }

    #[test]
    fn what_is_received_no_longer_is_not_received_by_the_numbers_of_before() {
        let now = Instant::now();
        let mut tables = tables(now, vec![section("a", 111)]);
        tables.apply(now, 2, vec![Section { receives: false, ..section("a", 111) }]);
        assert_eq!(mid_of(&tables, now, &packet(111, 7, Some("a")), Some("a")), None);
        tables.apply(now, 3, Vec::new());
        assert_eq!(mid_of(&tables, now, &packet(111, 7, Some("a")), Some("a")), None);
    }

    #[test]
    fn a_section_that_does_not_receive_gets_nothing() {
        let now = Instant::now();
        let silent = Section { receives: false, ..section("a", 111) };
        let tables = tables(now, vec![silent]);
        assert_eq!(mid_of(&tables, now, &packet(111, 7, Some("a")), None), None);
    }
}
