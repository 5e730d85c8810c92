//! VP8 (RFC 7741).

use super::Start;

/// The descriptor in front of the payload of each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The packet is the first one of its frame.
    pub begins: bool,
    /// The number of the picture, and the bits of such numbers: 0x7f or 0x7fff.
    pub picture: Option<(u16, u16)>,
    /// The number of the last picture of the lowest temporal layer.
    pub base: Option<u8>,
    /// The temporal layer, and whether the picture refers to the lowest one alone.
    pub layer: Option<(u8, bool)>,
    /// The size of the descriptor.
    size: usize,
}

/// None: it is longer than the payload, or there is nothing behind it.
pub fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let first = *payload.first()?;
    let mut descriptor = Descriptor { begins: first & 0x17 == 0x10, size: 1, ..Descriptor::default() };
    if first & 0x80 != 0 {
        let mut rest = payload[1..].iter().copied();
        let parts = rest.next()?;
        if parts & 0x80 != 0 {
            let number = rest.next()?;
            descriptor.picture = Some(if number & 0x80 == 0 {
                (number.into(), 0x7f)
            } else {
                (u16::from_be_bytes([number & 0x7f, rest.next()?]), 0x7fff)
            });
        }
        if parts & 0x40 != 0 {
            descriptor.base = Some(rest.next()?);
        }
        if parts & 0x30 != 0 {
            let byte = rest.next()?;
            descriptor.layer = (parts & 0x20 != 0).then_some((byte >> 6, byte & 0x20 != 0));
        }
        descriptor.size = payload.len() - rest.len();
    }
    (descriptor.size < payload.len()).then_some(descriptor)
}

pub fn start(payload: &[u8]) -> Start {
    match descriptor(payload) {
        Some(descriptor) if descriptor.begins && payload[descriptor.size] & 1 == 0 => Start::Key,
        Some(descriptor) if descriptor.begins => Start::Frame,
        _ => Start::Unknown,
    }
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    pub is_key: bool,
    /// The descriptor of its first packet.
    pub descriptor: Descriptor,
    pub data: Vec<u8>,
}

/// Put a frame together; None: a packet is malformed, or is not of this frame.
pub fn assemble<'p>(payloads: impl Iterator<Item = &'p [u8]>) -> Option<Picture> {
    let mut picture: Option<Picture> = None;
    for payload in payloads {
        let descriptor = descriptor(payload)?;
        let body = &payload[descriptor.size..];
        match &mut picture {
            None if descriptor.begins => {
                let is_key = body[0] & 1 == 0;
                picture = Some(Picture { is_key, descriptor, data: body.to_vec() });
            }
            Some(picture) if !descriptor.begins && descriptor.picture == picture.descriptor.picture => {
                picture.data.extend_from_slice(body);
            }
            _ => return None,
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_the_descriptor_are_read() {
        let plain = Descriptor { begins: true, size: 1, ..Descriptor::default() };
        assert_eq!(descriptor(&[0x10, 0]), Some(plain));
        assert_eq!(descriptor(&[0x11, 0]), Some(Descriptor { begins: false, ..plain }), "another partition");
        assert_eq!(descriptor(&[0x10]), None, "nothing behind it");
        let short = Descriptor { picture: Some((0x7f, 0x7f)), size: 3, ..plain };
        assert_eq!(descriptor(&[0x90, 0x80, 0x7f, 0]), Some(short));
        let full = Descriptor {
            begins: true,
            picture: Some((0x1234, 0x7fff)),
            base: Some(9),
            layer: Some((2, true)),
            size: 6,
        };
        assert_eq!(descriptor(&[0x90, 0xf0, 0x92, 0x34, 9, 0xa5, 0]), Some(full));
        for length in 0..7 {
            assert_eq!(descriptor(&[0x90, 0xf0, 0x92, 0x34, 9, 0xa5, 0][..length]), None);
        }
        let key_index = Descriptor { size: 3, ..plain };
        assert_eq!(descriptor(&[0x90, 0x10, 0xff, 0]), Some(key_index), "no layer is named");
    }

    #[test]
    fn the_packets_of_one_frame_are_joined_and_no_others() {
        let join = |parts: &[&[u8]]| assemble(parts.iter().copied());
        let key = join(&[&[0x10, 0x9c, 1], &[0, 2, 3], &[1, 4]]).expect("a frame");
        assert_eq!((key.is_key, key.data), (true, vec![0x9c, 1, 2, 3, 4]));
        assert_eq!(join(&[&[0x10, 0x9d]]).map(|picture| picture.is_key), Some(false));
        assert_eq!(join(&[&[0, 1]]), None, "its beginning is not here");
        assert_eq!(join(&[&[0x10, 1], &[0x10, 1]]), None, "two frames");
        assert_eq!(join(&[&[0x90, 0x80, 1, 1], &[0x80, 0x80, 2, 1]]), None, "of another picture");
        assert_eq!(join(&[&[0x10, 1], &[0]]), None);
        assert_eq!(join(&[]), None);
    }
}
