//! Reports of telephone tones (RFC 4733).

/// The tones by their numbers.
pub const TONES: &str = "0123456789*#ABCD";

/// One report about a tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub tone: char,
    pub is_over: bool,
    /// In ticks of the clock.
    pub duration: u16,
}

impl Report {
    /// None: another event, or too short.
    pub fn read(payload: &[u8]) -> Option<Report> {
        let four = payload.get(..4)?;
        let tone = TONES.chars().nth(usize::from(four[0]))?;
        let duration = u16::from_be_bytes([four[2], four[3]]);
        Some(Report { tone, is_over: four[1] & 0x80 != 0, duration })
    }

    pub fn write(&self) -> [u8; 4] {
        let number = TONES.chars().position(|tone| tone == self.tone).unwrap_or(0) as u8;
        let [high, low] = self.duration.to_be_bytes();
        [number, u8::from(self.is_over) << 7 | 10, high, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        for tone in TONES.chars() {
            let report = Report { tone, is_over: tone == '#', duration: 4800 };
            assert_eq!(Report::read(&report.write()), Some(report));
        }
        assert_eq!(Report::read(&[16, 0, 0, 0]), None, "another event");
        assert_eq!(Report::read(&[1, 0, 0]), None);
    }
}
