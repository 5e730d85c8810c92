//! Figures of media for getStats: a dict for each object of the W3C's, its members in snake case.

use std::collections::HashMap;

use adieu_engine::rtp::{InboundStats, OutboundStats};
use adieu_io::event::TransportStats;
use adieu_io::figures::PlayoutStats;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// `inbound-rtp`, `remote-outbound-rtp`, `outbound-rtp`, `remote-inbound-rtp` and `media-source`.
pub fn list<'py>(py: Python<'py>, stats: &TransportStats) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let Some(media) = &stats.engine.media else { return Ok(list) };
    let playouts: HashMap<u64, &PlayoutStats> = stats.playouts.iter().map(|(id, one)| (*id, one)).collect();
    for stream in &media.inbound {
        list.append(inbound(py, stream, playouts.get(&stream.receiver).copied())?)?;
        if let Some((clock, packets, bytes, reports)) = stream.remote {
            let dict = new(py, "remote-outbound-rtp", stream.ssrc)?;
            dict.set_item("receiver", stream.receiver)?;
            dict.set_item("remote_timestamp", clock)?;
            dict.set_item("packets_sent", packets)?;
            dict.set_item("bytes_sent", bytes)?;
            dict.set_item("reports_sent", reports)?;
            list.append(dict)?;
        }
    }
    for stream in &media.outbound {
        list.append(outbound(py, stream)?)?;
        if let Some(dict) = remote_inbound(py, stream)? {
            list.append(dict)?;
        }
    }
    for (sender, source) in &stats.sources {
        let dict = PyDict::new(py);
        dict.set_item("type", "media-source")?;
        dict.set_item("sender", sender)?;
        dict.set_item("audio_level", source.level)?;
        dict.set_item("total_audio_energy", source.energy)?;
        dict.set_item("total_samples_duration", source.duration)?;
        list.append(dict)?;
    }
    Ok(list)
}

fn new<'py>(py: Python<'py>, kind: &str, ssrc: u32) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("type", kind)?;
    dict.set_item("ssrc", ssrc)?;
    Ok(dict)
}

fn inbound<'py>(
    py: Python<'py>,
    stream: &InboundStats,
    playout: Option<&PlayoutStats>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = new(py, "inbound-rtp", stream.ssrc)?;
    dict.set_item("mid", &stream.mid)?;
    dict.set_item("receiver", stream.receiver)?;
    dict.set_item("payload_type", stream.payload_type)?;
    dict.set_item("packets_received", stream.packets)?;
    dict.set_item("bytes_received", stream.bytes)?;
    dict.set_item("header_bytes_received", stream.header_bytes)?;
    dict.set_item("packets_lost", stream.lost)?;
    dict.set_item("jitter", stream.jitter)?;
    dict.set_item("last_packet_received_age", stream.last_age)?;
    let (repaired, repaired_bytes, repair_ssrc) = stream.repaired;
    dict.set_item("retransmitted_packets_received", repaired)?;
    dict.set_item("retransmitted_bytes_received", repaired_bytes)?;
    if let Some(ssrc) = repair_ssrc {
        dict.set_item("rtx_ssrc", ssrc)?;
    }
    if stream.is_video {
        dict.set_item("nack_count", stream.asked.0)?;
        dict.set_item("pli_count", stream.asked.1)?;
        dict.set_item("fir_count", 0)?;
        let frames = stream.frames;
        dict.set_item("frames_received", frames.received)?;
        dict.set_item("frames_dropped", frames.dropped)?;
        dict.set_item("frames_assembled_from_multiple_packets", frames.several)?;
        dict.set_item("total_assembly_time", frames.assembly)?;
        dict.set_item("packets_discarded", frames.discarded)?;
        return Ok(dict);
    }
    if let Some(playout) = playout {
        dict.set_item("total_samples_received", playout.total_samples)?;
        dict.set_item("concealed_samples", playout.concealed_samples)?;
        dict.set_item("silent_concealed_samples", playout.silent_concealed_samples)?;
        dict.set_item("concealment_events", playout.concealment_events)?;
        dict.set_item("inserted_samples_for_deceleration", playout.inserted_for_deceleration)?;
        dict.set_item("removed_samples_for_acceleration", playout.removed_for_acceleration)?;
        dict.set_item("jitter_buffer_delay", playout.jitter_buffer_delay)?;
        dict.set_item("jitter_buffer_target_delay", playout.jitter_buffer_target_delay)?;
        dict.set_item("jitter_buffer_minimum_delay", playout.jitter_buffer_minimum_delay)?;
        dict.set_item("jitter_buffer_emitted_count", playout.jitter_buffer_emitted)?;
        dict.set_item("audio_level", playout.audio_level)?;
        dict.set_item("total_audio_energy", playout.total_audio_energy)?;
        dict.set_item("total_samples_duration", playout.total_samples_duration)?;
        dict.set_item("fec_packets_received", playout.fec_packets)?;
        dict.set_item("packets_discarded", playout.discarded)?;
    }
    Ok(dict)
}

fn outbound<'py>(py: Python<'py>, stream: &OutboundStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = new(py, "outbound-rtp", stream.ssrc)?;
    dict.set_item("mid", &stream.mid)?;
    dict.set_item("sender", stream.sender)?;
    dict.set_item("payload_type", stream.payload_type)?;
    // Packets that are sent again are of this stream too, in the W3C's eyes.
    let (packets, bytes, header_bytes) = stream.video.as_ref().map_or((0, 0, 0), |video| video.repairs);
    dict.set_item("packets_sent", stream.packets + packets)?;
    dict.set_item("bytes_sent", stream.bytes + bytes)?;
    dict.set_item("header_bytes_sent", stream.header_bytes + header_bytes)?;
    dict.set_item("active", stream.is_active)?;
    if let Some(video) = &stream.video {
        dict.set_item("frames_sent", video.frames)?;
        dict.set_item("nack_count", video.nacks)?;
        dict.set_item("pli_count", video.plis)?;
        dict.set_item("fir_count", video.firs)?;
        dict.set_item("rtx_ssrc", video.repair_ssrc)?;
        dict.set_item("retransmitted_packets_sent", video.asked)?;
        dict.set_item("retransmitted_bytes_sent", video.asked_bytes)?;
        dict.set_item("total_packet_send_delay", video.delay)?;
        if let Some(target) = video.target {
            dict.set_item("target_bitrate", target)?;
        }
    }
    Ok(dict)
}

fn remote_inbound<'py>(py: Python<'py>, stream: &OutboundStats) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(remote) = &stream.remote else { return Ok(None) };
    let dict = new(py, "remote-inbound-rtp", stream.ssrc)?;
    dict.set_item("sender", stream.sender)?;
    dict.set_item("age", remote.age)?;
    dict.set_item("packets_received", remote.received)?;
    dict.set_item("packets_lost", remote.lost)?;
    dict.set_item("fraction_lost", remote.fraction_lost)?;
    dict.set_item("jitter", remote.jitter)?;
    if let Some(round_trip) = remote.round_trip {
        dict.set_item("round_trip_time", round_trip)?;
    }
    dict.set_item("total_round_trip_time", remote.total_round_trip)?;
    dict.set_item("round_trip_time_measurements", remote.measurements)?;
    Ok(Some(dict))
}
