//! Figures of sound, for getStats: the media thread writes them.

/// Figures of a source: W3C RTCAudioSourceStats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceStats {
    /// 0 to 1.
    pub level: f64,
    pub energy: f64,
    /// Seconds.
    pub duration: f64,
}

/// Figures of the sound that a receiver has played: W3C RTCInboundRtpStreamStats. Samples count for each channel, times are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayoutStats {
    pub total_samples: u64,
    pub concealed_samples: u64,
    pub silent_concealed_samples: u64,
    pub concealment_events: u64,
    pub inserted_for_deceleration: u64,
    pub removed_for_acceleration: u64,
    pub jitter_buffer_delay: f64,
    pub jitter_buffer_target_delay: f64,
    pub jitter_buffer_minimum_delay: f64,
    pub jitter_buffer_emitted: u64,
    pub audio_level: f64,
    pub total_audio_energy: f64,
    pub total_samples_duration: f64,
    pub fec_packets: u64,
    pub discarded: u64,
}
