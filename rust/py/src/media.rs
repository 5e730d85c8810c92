//! Audio sources and sinks, and the sections that are negotiated.

use std::time::Duration;

use adieu_engine::rtp::packetize::h264;
use adieu_engine::rtp::{AudioCodec, Format, MediaKind, VideoCodec};
use adieu_io::frames::axis;
use adieu_io::media::{self, Codec, Packet};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::{choice, value_error};

/// Payload type, name, clock rate, channels, fmtp.
type FormatTuple = (u8, String, u32, u8, String);

#[pyclass(frozen, module = "adieu._core")]
pub struct Section {
    pub inner: adieu_engine::rtp::Section,
}

#[pymethods]
impl Section {
    #[new]
    #[pyo3(signature = (
        mid, kind, *, sends, receives, sender, receiver, send, receive, extensions, ssrcs = Vec::new(),
        rids = Vec::new(), active = true, max_bitrate = None, reduced_size = false, own_ssrcs = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn new(
        mid: String,
        kind: &str,
        sends: bool,
        receives: bool,
        sender: Option<u64>,
        receiver: Option<u64>,
        send: Vec<FormatTuple>,
        receive: Vec<FormatTuple>,
        extensions: Vec<(u8, String)>,
        ssrcs: Vec<u32>,
        rids: Vec<String>,
        active: bool,
        max_bitrate: Option<u32>,
        reduced_size: bool,
        own_ssrcs: Option<(u32, u32)>,
    ) -> PyResult<Section> {
        let kind = media_kind(kind)?;
        let (send, receive) = (formats(send)?, formats(receive)?);
        let inner = adieu_engine::rtp::Section {
            mid,
            kind,
            sender,
            receiver,
            sends,
            receives,
            send,
            receive,
            extensions,
            ssrcs,
            rids,
            own_ssrcs,
            active,
            max_bitrate,
            reduced_size,
        };
        Ok(Section { inner })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

fn formats(tuples: Vec<FormatTuple>) -> PyResult<Vec<Format>> {
    let of = |(payload_type, name, clock_rate, channels, fmtp)| {
        if payload_type > 127 {
            return Err(value_error(format!("payload type {payload_type} is not from 0 to 127")));
        }
        Ok(Format { payload_type, name, clock_rate, channels, fmtp })
    };
    tuples.into_iter().map(of).collect()
}

pub fn media_kind(kind: &str) -> PyResult<MediaKind> {
    choice("kind", kind, &[("audio", MediaKind::Audio), ("video", MediaKind::Video)])
}

#[pyclass(frozen, module = "adieu._core")]
pub struct AudioSource {
    inner: media::AudioSource,
    channels: usize,
}

impl AudioSource {
    pub fn new(inner: media::AudioSource, channels: u8) -> AudioSource {
        AudioSource { inner, channels: channels.into() }
    }

    pub fn inner(&self) -> &media::AudioSource {
        &self.inner
    }
}

#[pymethods]
impl AudioSource {
    #[getter]
    fn handle(&self) -> u64 {
        self.inner.id()
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        let samples = samples(data)?;
        if samples.len() % self.channels != 0 {
            return Err(value_error(format!(
                "{} samples are no whole number of frames of {} channels",
                samples.len(),
                self.channels
            )));
        }
        Ok(py.detach(|| self.inner.write(&samples)))
    }

    fn write_packets(&self, py: Python<'_>, packets: Vec<Bound<'_, PyAny>>) -> PyResult<usize> {
        let packets: Vec<Packet> =
            packets.iter().enumerate().map(|(at, data)| packet(at, data)).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.inner.write_packets(packets)))
    }

    #[getter]
    fn wrong(&self) -> Option<&'static str> {
        self.inner.wrong().map(AudioCodec::name)
    }

    fn clear(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.inner.clear())
    }

    fn end(&self) {
        self.inner.end();
    }

    #[getter]
    fn queued(&self) -> u64 {
        self.inner.queued()
    }

    #[getter]
    fn position(&self) -> u64 {
        self.inner.position()
    }

    #[pyo3(signature = (arrived = false))]
    fn watch(&self, arrived: bool) {
        self.inner.watch(arrived);
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// The most bytes of an encoded picture.
const MAX_FRAME: usize = 4 << 20;

/// A copy of an encoded picture that can be sent.
pub fn frame_data(data: &Bound<'_, PyAny>, codec: VideoCodec) -> PyResult<Vec<u8>> {
    let data = PyBuffer::<u8>::get(data)?.to_vec(data.py())?;
    if data.is_empty() || data.len() > MAX_FRAME {
        return Err(value_error(format!("a picture of {} bytes: it has from 1 to {MAX_FRAME}", data.len())));
    }
    if codec == VideoCodec::H264 && h264::units(&data).next().is_none() {
        return Err(value_error(
            "a picture of H264 has no start code (00 00 01): give it in the form of Annex B, for example by the \
             filter h264_mp4toannexb",
        ));
    }
    Ok(data)
}

/// The most bytes of a packet of Opus that is sent: with its headers it fits into a datagram on every path.
const MAX_PACKET: usize = 1100;

/// A copy of a packet of Opus, and the time that it lasts. `at`: its place among others.
fn packet(at: usize, data: &Bound<'_, PyAny>) -> PyResult<Packet> {
    let payload = PyBuffer::<u8>::get(data)?.to_vec(data.py())?;
    if payload.len() > MAX_PACKET {
        return Err(value_error(format!(
            "packet {at} has {} bytes: at most {MAX_PACKET}, make frames of 20 ms",
            payload.len()
        )));
    }
    match Codec::Opus.ticks(&payload) {
        Some(frames) => Ok(Packet { payload, frames }),
        None => Err(value_error(format!(
            "packet {at}, of {} bytes, is no packet of Opus: give one packet at a time, without a container",
            payload.len()
        ))),
    }
}

/// Samples of a buffer: int16, float32, or bytes of int16.
fn samples(data: &Bound<'_, PyAny>) -> PyResult<Vec<i16>> {
    if let Some(samples) = items::<i16>(data)? {
        return Ok(samples);
    }
    if let Some(samples) = items::<f32>(data)? {
        return Ok(samples.into_iter().map(from_float).collect());
    }
    let Some(bytes) = items::<u8>(data)? else {
        return Err(value_error(format!(
            "{} holds neither int16 nor float32 nor bytes: convert it, for example by astype(numpy.int16)",
            data.get_type()
        )));
    };
    if bytes.len() % 2 != 0 {
        return Err(value_error(format!("{} bytes are no whole number of int16 samples", bytes.len())));
    }
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_ne_bytes([pair[0], pair[1]])).collect())
}

/// None: the buffer holds something else. An object without a buffer raises TypeError.
fn items<T: Element + Copy>(data: &Bound<'_, PyAny>) -> PyResult<Option<Vec<T>>> {
    match PyBuffer::<T>::get(data) {
        Ok(buffer) => buffer.to_vec(data.py()).map(Some),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyBufferError>(data.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Clips values beyond 1, and makes silence of NaN.
fn from_float(sample: f32) -> i16 {
    (sample * 32_767.0) as i16 // saturates, and makes 0 of NaN
}

#[pyclass(frozen, module = "adieu._core")]
pub struct AudioSink {
    pub inner: media::AudioSink,
}

#[pymethods]
impl AudioSink {
    #[getter]
    fn handle(&self) -> u64 {
        self.inner.id()
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, f64, u32)>> {
        let Some(frame) = self.inner.read() else { return Ok(None) };
        let bytes = PyBytes::new_with(py, frame.samples.len() * 2, |out| {
            for (two, sample) in out.chunks_exact_mut(2).zip(&frame.samples) {
                two.copy_from_slice(&sample.to_ne_bytes());
            }
            Ok(())
        })?;
        Ok(Some((bytes, frame.time, frame.concealed)))
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[pyclass(frozen, module = "adieu._core")]
pub struct FrameSink {
    pub inner: adieu_io::frame_sink::FrameSink,
}

/// Data, codec, key, timestamp, time, number, temporal layer.
type FrameTuple<'py> = (Bound<'py, PyBytes>, &'static str, bool, u64, f64, u64, u8);

#[pymethods]
impl FrameSink {
    #[getter]
    fn handle(&self) -> u64 {
        self.inner.id()
    }

    fn read<'py>(&self, py: Python<'py>) -> Option<FrameTuple<'py>> {
        let frame = self.inner.read()?;
        let time = axis(frame.captured.unwrap_or(frame.arrived));
        let data = PyBytes::new(py, &frame.data);
        Some((data, frame.codec.name(), frame.key, frame.timestamp, time, frame.id, frame.temporal))
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[pyclass(frozen, module = "adieu._core")]
pub struct PacketSink {
    pub inner: adieu_io::packet_sink::PacketSink,
}

#[pymethods]
impl PacketSink {
    #[getter]
    fn handle(&self) -> u64 {
        self.inner.id()
    }

    fn read<'py>(&self, py: Python<'py>) -> Option<FrameTuple<'py>> {
        let packet = self.inner.read()?;
        let time = axis(packet.captured.unwrap_or(packet.arrived));
        let data = PyBytes::new(py, &packet.payload);
        Some((data, packet.codec.name(), true, packet.timestamp, time, packet.sequence, 0))
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// The shape of a sink, with its bounds.
pub fn sink_options(
    rate: u32,
    channels: u8,
    frame_ms: u64,
    max_frames: usize,
) -> PyResult<media::SinkOptions> {
    check_format(rate, channels)?;
    if !(10..=100).contains(&frame_ms) || !frame_ms.is_multiple_of(10) {
        return Err(value_error(format!("frame_ms={frame_ms} is not 10, 20 … 100")));
    }
    if !(1..=1000).contains(&max_frames) {
        return Err(value_error(format!("max_frames={max_frames} is not from 1 to 1000")));
    }
    Ok(media::SinkOptions { rate, channels, frame: Duration::from_millis(frame_ms), max_frames })
}

pub fn check_format(rate: u32, channels: u8) -> PyResult<()> {
    if !(8000..=192_000).contains(&rate) {
        return Err(value_error(format!("rate={rate} is not from 8000 to 192000")));
    }
    if !(1..=2).contains(&channels) {
        return Err(value_error(format!("channels={channels} is not 1 or 2")));
    }
    Ok(())
}
