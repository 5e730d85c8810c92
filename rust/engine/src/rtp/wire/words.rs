//! The 32-bit words that RTCP packets are made of.

/// The type of feedback about packets, which several files write.
pub const RTPFB: u8 = 205;

pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(4 * at..4 * at + 4)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// Begin a packet; [`finish`] takes what is returned.
pub fn begin(out: &mut Vec<u8>, count: u8, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    start
}

pub fn put(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

pub fn finish(out: &mut [u8], start: usize) {
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}
