//! Header extensions in their two forms (RFC 8285).

const ONE_BYTE: u16 = 0xbede;
const TWO_BYTES: u16 = 0x1000;

/// The elements of an extension: their number and their bytes. It ends at the first that is past the end.
pub fn elements(profile: u16, bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = match profile {
        ONE_BYTE => bytes,
        _ if profile & 0xfff0 == TWO_BYTES => bytes,
        _ => &[],
    };
    let is_short = profile == ONE_BYTE;
    std::iter::from_fn(move || {
        loop {
            let (&first, after) = rest.split_first()?;
            if first == 0 {
                rest = after; // padding
                continue;
            }
            let (id, length, body) = if is_short {
                if first >> 4 == 15 {
                    return None;
                }
                (first >> 4, usize::from(first & 15) + 1, after)
            } else {
                let (&length, body) = after.split_first()?;
                (first, usize::from(length), body)
            };
            if length > body.len() {
                rest = &[];
                return None;
            }
            let (value, left) = body.split_at(length);
            rest = left;
            if id != 0 {
                return Some((id, value));
            }
        }
    })
}

/// Collects the elements of a packet that is made, in the shorter form if all of them fit into it.
#[derive(Debug, Default)]
pub struct Writer<'a> {
    elements: Vec<(u8, &'a [u8])>,
}

impl<'a> Writer<'a> {
    /// Add an element of at most 255 bytes.
    pub fn add(&mut self, id: u8, value: &'a [u8]) {
        self.elements.push((id, &value[..value.len().min(255)]));
    }

    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Write the extension behind a header that says that there is one. Returns where the value of the first element is.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        if self.elements.is_empty() {
            return out.len();
        }
        let is_short =
            self.elements.iter().all(|(id, value)| (1..15).contains(id) && (1..=16).contains(&value.len()));
        let profile = if is_short { ONE_BYTE } else { TWO_BYTES };
        out.extend_from_slice(&profile.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        for (id, value) in &self.elements {
            if is_short {
                out.push(id << 4 | (value.len() - 1) as u8);
            } else {
                out.extend_from_slice(&[*id, value.len() as u8]);
            }
            out.extend_from_slice(value);
        }
        let size = out.len() - length_at - 2;
        out.resize(out.len() + size.next_multiple_of(4) - size, 0);
        let words = ((out.len() - length_at - 2) / 4) as u16;
        out[length_at..length_at + 2].copy_from_slice(&words.to_be_bytes());
        length_at + if is_short { 3 } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(writer: &Writer<'_>) -> (u16, Vec<u8>) {
        let mut out = Vec::new();
        writer.write(&mut out);
        let length = 4 * usize::from(u16::from_be_bytes([out[2], out[3]]));
        assert_eq!(out.len(), 4 + length);
        (u16::from_be_bytes([out[0], out[1]]), out[4..].to_vec())
    }

    #[test]
    fn what_is_written_is_read_again_in_both_forms() {
        for (id, profile) in [(4, ONE_BYTE), (39, TWO_BYTES)] {
            let mut writer = Writer::default();
            writer.add(id, b"audio");
            writer.add(1, &[0x85]);
            let (form, bytes) = written(&writer);
            assert_eq!(form, profile);
            let mut out = vec![7; 12];
            let first = writer.write(&mut out);
            assert_eq!(out[first..first + 5], *b"audio");
            let found: Vec<_> = elements(form, &bytes).collect();
            assert_eq!(found, [(id, &b"audio"[..]), (1, &[0x85][..])]);
        }
    }

    #[test]
    fn an_element_past_the_end_ends_the_list() {
        assert_eq!(elements(ONE_BYTE, &[0x13, 1, 2]).count(), 0);
        assert_eq!(elements(TWO_BYTES, &[1, 9, 2]).count(), 0);
        assert_eq!(elements(TWO_BYTES, &[1]).count(), 0);
        assert_eq!(elements(ONE_BYTE, &[0, 0, 0x10, 7, 0xf0, 1]).collect::<Vec<_>>(), [(1, &[7][..])]);
        assert_eq!(elements(0x1234, &[0x10, 7]).count(), 0, "an unknown form");
    }
}
