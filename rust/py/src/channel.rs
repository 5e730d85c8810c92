use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use adieu_engine::{Kind, Reliability};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi::PyThread_get_thread_ident;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

use crate::convert::value_error;

/// The present thread and turn of an event loop.
#[derive(Default)]
pub struct Turns {
    pub thread: AtomicU64,
    pub turn: AtomicU64,
}

impl Turns {
    pub fn here() -> u64 {
        // SAFETY: it reads the number of this thread and has no conditions.
        #[allow(clippy::useless_conversion, reason = "c_ulong is not 64 bits wide everywhere")]
        unsafe { PyThread_get_thread_ident() }.into()
    }
}

#[pyclass(frozen, module = "adieu._core")]
pub struct Channel {
    inner: adieu_io::Channel,
    turns: Arc<Turns>,
    is_open: AtomicBool,
    max_message_size: AtomicUsize,
    watches_amount: AtomicBool,
    /// The turn in which `shown` was taken: within it the amount only grows (W3C bufferedAmount).
    turn: AtomicU64,
    shown: AtomicUsize,
}

const NO_TURN: u64 = u64::MAX;

impl Channel {
    pub fn new(inner: adieu_io::Channel, turns: Arc<Turns>) -> Channel {
        Channel {
            inner,
            turns,
            is_open: AtomicBool::new(false),
            max_message_size: AtomicUsize::new(0),
            watches_amount: AtomicBool::new(false),
            turn: AtomicU64::new(NO_TURN),
            shown: AtomicUsize::new(0),
        }
    }

    pub fn inner(&self) -> &adieu_io::Channel {
        &self.inner
    }

    /// Whether this is the first look at the amount in this turn.
    fn look(&self) -> bool {
        let turn = self.turns.turn.load(Ordering::Relaxed);
        if self.turn.load(Ordering::Relaxed) == turn {
            return false;
        }
        self.turn.store(turn, Ordering::Relaxed);
        self.shown.store(self.inner.buffered(), Ordering::Relaxed);
        true
    }

    /// The checks of the W3C's `send()` from the size on, then the message itself.
    fn check_and_put(&self, kind: Kind, data: &[u8]) -> i8 {
        if data.len() > self.max_message_size.load(Ordering::Relaxed) {
            return Self::TOO_LARGE;
        }
        let is_first = self.look();
        if self.inner.reserve(data.len()).is_err() {
            return Self::FULL;
        }
        self.inner.send(kind, data.to_vec());
        let amount = self.shown.load(Ordering::Relaxed) + data.len();
        self.shown.store(amount, Ordering::Relaxed);
        let is_above = amount > self.inner.low() && self.watches_amount.load(Ordering::Relaxed);
        (i8::from(is_first) * Self::FIRST) | (i8::from(is_above) * Self::ABOVE)
    }

    fn put(&self, kind: Kind, data: &[u8]) -> PyResult<usize> {
        self.reserve(data.len())?;
        self.inner.send(kind, data.to_vec());
        Ok(data.len())
    }

    fn reserve(&self, size: usize) -> PyResult<()> {
        self.inner.reserve(size).map_err(|full| {
            PyBufferError::new_err(format!(
                "the send buffer cannot take {size} bytes more: {} of {} are waiting",
                full.buffered,
                adieu_io::handles::SEND_BUFFER
            ))
        })
    }
}

#[pymethods]
impl Channel {
    #[classattr]
    const FIRST: i8 = 1;
    #[classattr]
    const ABOVE: i8 = 2;
    #[classattr]
    const OTHER_THREAD: i8 = -1;
    #[classattr]
    const NOT_OPEN: i8 = -2;
    #[classattr]
    const OTHER_TYPE: i8 = -3;
    #[classattr]
    const TOO_LARGE: i8 = -4;
    #[classattr]
    const FULL: i8 = -5;

    #[getter]
    fn id(&self) -> u64 {
        self.inner.id()
    }

    #[getter]
    fn stream_id(&self) -> u16 {
        self.inner.stream()
    }

    #[getter]
    fn buffered_amount(&self) -> usize {
        self.inner.buffered()
    }

    #[getter]
    fn low_threshold(&self) -> usize {
        self.inner.low()
    }

    #[setter]
    fn set_low_threshold(&self, value: usize) {
        self.inner.set_low(value);
    }

    fn watch_low(&self) -> bool {
        self.inner.watch_low()
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_is_open(&self, value: bool) {
        self.is_open.store(value, Ordering::Relaxed);
    }

    #[getter]
    fn max_message_size(&self) -> f64 {
        match self.max_message_size.load(Ordering::Relaxed) {
            usize::MAX => f64::INFINITY,
            size => size as f64,
        }
    }

    /// A float that is too large for an integer becomes the largest one.
    #[setter]
    fn set_max_message_size(&self, value: f64) {
        self.max_message_size.store(value as usize, Ordering::Relaxed);
    }

    #[getter]
    fn watches_amount(&self) -> bool {
        self.watches_amount.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_watches_amount(&self, value: bool) {
        self.watches_amount.store(value, Ordering::Relaxed);
    }

    fn amount_in_turn(&self) -> isize {
        let is_first = self.look();
        let amount = self.shown.load(Ordering::Relaxed) as isize;
        if is_first { !amount } else { amount }
    }

    fn post(&self, data: &Bound<'_, PyAny>) -> PyResult<i8> {
        if Turns::here() != self.turns.thread.load(Ordering::Relaxed) {
            return Ok(Self::OTHER_THREAD);
        }
        if !self.is_open.load(Ordering::Relaxed) {
            return Ok(Self::NOT_OPEN);
        }
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return Ok(self.check_and_put(Kind::Binary, bytes.as_bytes()));
        }
        if let Ok(text) = data.cast::<PyString>() {
            // Half of a surrogate pair can not be written as UTF-8.
            return Ok(text
                .to_str()
                .map_or(Self::OTHER_TYPE, |text| self.check_and_put(Kind::Text, text.as_bytes())));
        }
        if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
            let bytes = PyBuffer::<u8>::get(data).and_then(|buffer| buffer.to_vec(data.py()));
            return Ok(bytes.map_or(Self::OTHER_TYPE, |bytes| self.check_and_put(Kind::Binary, &bytes)));
        }
        Ok(Self::OTHER_TYPE)
    }

    /// The one copy is made here; what Python passed may change afterwards.
    fn send(&self, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return self.put(Kind::Binary, bytes.as_bytes());
        }
        if let Ok(text) = data.cast::<PyString>() {
            return self.put(Kind::Text, text.to_str()?.as_bytes());
        }
        let Ok(buffer) = PyBuffer::<u8>::get(data) else {
            let name = data.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "data has to be str, bytes or a buffer of bytes, not {name}"
            )));
        };
        // Copied before its room is reserved: what could not be copied would hold it for ever.
        let bytes = buffer.to_vec(data.py()).map_err(|error| value_error(error.to_string()))?;
        let size = bytes.len();
        self.reserve(size)?;
        self.inner.send(Kind::Binary, bytes);
        Ok(size)
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// The options of a channel, in both directions.
#[pyclass(frozen, module = "adieu._core")]
pub struct ChannelOptions {
    pub inner: adieu_engine::ChannelOptions,
}

#[pymethods]
impl ChannelOptions {
    #[new]
    #[pyo3(signature = (
        label,
        protocol = "",
        *,
        negotiated = false,
        ordered = true,
        max_packet_life_time = None,
        max_retransmits = None,
        priority = 256,
    ))]
    fn new(
        label: &str,
        protocol: &str,
        negotiated: bool,
        ordered: bool,
        max_packet_life_time: Option<u16>,
        max_retransmits: Option<u16>,
        priority: u16,
    ) -> PyResult<ChannelOptions> {
        let reliability = match (max_packet_life_time, max_retransmits) {
            (None, None) => Reliability::Full,
            (Some(milliseconds), None) => Reliability::Lifetime(milliseconds),
            (None, Some(count)) => Reliability::Retransmits(count),
            (Some(_), Some(_)) => {
                return Err(value_error("max_packet_life_time and max_retransmits cannot both be set"));
            }
        };
        for (name, text) in [("label", label), ("protocol", protocol)] {
            if text.len() > usize::from(u16::MAX) {
                return Err(value_error(format!("{name} has {} bytes, more than 65535", text.len())));
            }
        }
        let (label, protocol) = (label.to_owned(), protocol.to_owned());
        let inner =
            adieu_engine::ChannelOptions { label, protocol, negotiated, ordered, reliability, priority };
        Ok(ChannelOptions { inner })
    }

    #[getter]
    fn label(&self) -> &str {
        &self.inner.label
    }

    #[getter]
    fn protocol(&self) -> &str {
        &self.inner.protocol
    }

    #[getter]
    fn negotiated(&self) -> bool {
        self.inner.negotiated
    }

    #[getter]
    fn ordered(&self) -> bool {
        self.inner.ordered
    }

    #[getter]
    fn max_packet_life_time(&self) -> Option<u16> {
        match self.inner.reliability {
            Reliability::Lifetime(milliseconds) => Some(milliseconds),
            _ => None,
        }
    }

    #[getter]
    fn max_retransmits(&self) -> Option<u16> {
        self.inner.reliability.max_retransmits()
    }

    #[getter]
    fn priority(&self) -> u16 {
        self.inner.priority
    }
}
