//! The head of an Opus payload (RFC 6716 section 3.1), read without decoding it.

/// Return the ticks of 48 kHz that a payload lasts: at most 120 ms (RFC 6716 section 3.2.5). `None`: it is no Opus.
pub fn ticks(payload: &[u8]) -> Option<u32> {
    let samples = opus::packet::get_nb_samples(payload, 48_000).ok()?;
    (1..=5760).contains(&samples).then_some(samples as u32)
}

/// Whether the payload also holds the frame before it, in a lower quality (RFC 6716 section 4.2.5, LBRR).
pub fn has_repair(payload: &[u8]) -> bool {
    let Some(&toc) = payload.first() else { return false };
    // Configurations from 16 on are CELT alone, which has none.
    if toc >> 3 >= 16 {
        return false;
    }
    let Ok(parsed) = opus::packet::parse(payload) else { return false };
    let Some(&flags) = parsed.frames.first().and_then(|frame| frame.first()) else { return false };
    // A frame of 40 or 60 ms has two or three parts, with one flag for voice each in front of the one that is wanted.
    let parts = match (toc >> 3, toc >> 3 & 3) {
        (12.., _) | (_, 0 | 1) => 1,
        (_, more) => more,
    };
    let is_stereo = toc & 4 != 0;
    flags >> (7 - parts) & 1 == 1 || is_stereo && flags >> (6 - 2 * parts) & 1 == 1
}

/// Whether the encoder has stopped to send after this payload (DTX): it holds nothing but its head.
pub fn is_pause(payload: &[u8]) -> bool {
    payload.len() <= 2
}
