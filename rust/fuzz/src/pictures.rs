//! Pictures that come in: the payloads of a frame, packets in any order, and feedback about packets.

use std::time::{Duration, Instant};

use adieu_engine::rtp::VideoCodec;
use adieu_engine::rtp::depacketize::{h264, start, vp8};
use adieu_engine::rtp::receive::assemble::Piece;
use adieu_engine::rtp::receive::video::Video;
use adieu_engine::rtp::wire::feedback::Feedback;
use adieu_engine::rtp::wire::rtcp::{Packet, packets};

use super::{LATER, STRANGER, frames};

/// Records of [`super::frame`]: the payloads of one frame after another; LATER begins a frame. Returns the frames.
pub fn depacketize(data: &[u8]) -> usize {
    let mut sets = h264::Sets::default();
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut whole = 0;
    for (flags, payload) in frames(data).chain(std::iter::once((LATER, &[][..]))) {
        start(VideoCodec::Vp8, payload);
        start(VideoCodec::H264, payload);
        if flags & LATER != 0 && !parts.is_empty() {
            let size: usize = parts.iter().map(|part| part.len()).sum();
            if let Some(picture) = vp8::assemble(parts.iter().copied()) {
                assert!(!picture.data.is_empty() && picture.data.len() < size);
                whole += 1;
            }
            if let Some(picture) = h264::assemble(parts.iter().copied(), &mut sets) {
                assert!(picture.data.starts_with(&[0, 0, 0, 1]));
                assert!(picture.data.len() <= 4 * size + 3 * 8192 + 4, "start codes and kept sets");
                whole += 1;
            }
            parts.clear();
        }
        parts.push(payload);
    }
    whole
}

/// Records of [`super::frame`]. The first two bytes are the distances of the number and of the timestamp to the last ones,
/// with a sign. The third byte is the time that passes, in ms. LATER: the packet has the marker. STRANGER: it is
/// H264. Returns the frames.
pub fn assemble(data: &[u8]) -> usize {
    let mut now = Instant::now();
    let round_trip = Duration::from_millis(30);
    let (mut index, mut timestamp) = (70_000u64, 1u64 << 33);
    let mut video = Video::new(now, 0);
    let (mut count, mut next, mut handed) = (0, 0, 0);
    for (flags, record) in frames(data) {
        let Some((&[number, time, passed], payload)) = record.split_first_chunk::<3>() else { continue };
        index = index.saturating_add_signed((number as i8).into());
        timestamp = timestamp.saturating_add_signed(3000 * i64::from(time as i8));
        now += Duration::from_millis(passed.into());
        let codec = if flags & STRANGER == 0 { VideoCodec::Vp8 } else { VideoCodec::H264 };
        let marker = flags & LATER != 0;
        // Until the first frame is handed up, the stream may begin earlier.
        let before = count;
        video.handle_timeout(now, round_trip);
        video.insert(
            now,
            (index, passed & 1 == 1),
            Piece { codec, timestamp, marker, payload: payload.to_vec() },
        );
        while let Some(whole) = video.poll(now) {
            handed += whole.data.len();
            count += 1;
            assert_eq!(video.id, count);
            assert!(!whole.data.is_empty() && whole.packets > 0);
        }
        let place = video.assembly.next();
        assert!(place >= next || before == 0, "what was given up does not come back");
        next = place;
        let asks = video.ask(now, round_trip);
        assert!(asks.lost.len() <= 1000 && asks.lost.is_sorted());
        if let Some(due) = video.timeout(round_trip) {
            assert!(due < now + Duration::from_secs(1));
        }
    }
    assert!(handed <= 5 * data.len() + count as usize * 8200);
    count as usize
}

/// The body of one feedback. Returns how many packets it is about.
pub fn feedback(data: &[u8]) -> usize {
    let data = &data[..data.len().min(40_000)];
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    packet.extend_from_slice(data);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    let read = |bytes: &[u8]| packets(bytes).next().flatten();
    let Some(Packet::Transport(feedback)) = read(&packet) else { return 0 };
    assert_eq!(feedback.all().count(), usize::from(feedback.packets));
    assert_eq!(feedback.all().filter(|(_, arrival)| arrival.is_some()).count(), feedback.arrived.len());
    let mut again = Vec::new();
    feedback.write(&mut again, 1, 2);
    let Some(Packet::Transport(same)) = read(&again) else { panic!("{feedback:?}") };
    let parts = |one: &Feedback| (one.base, one.count, one.packets, one.arrived.len());
    assert_eq!(parts(&same), parts(&feedback));
    feedback.packets.into()
}
