use adieu_engine::Kind;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::value_error;

#[pyclass(frozen, module = "adieu._core")]
pub struct Channel {
    pub inner: adieu_io::Channel,
}

impl Channel {
    fn put(&self, kind: Kind, data: &[u8]) -> PyResult<usize> {
        self.reserve(data.len())?;
        self.inner.send(kind, data.to_vec());
        Ok(data.len())
    }

    fn reserve(&self, size: usize) -> PyResult<()> {
        self.inner.reserve(size).map_err(|full| {
            PyBufferError::new_err(format!(
                "the send buffer can not take {size} bytes more: {} of {} are waiting",
                full.buffered,
                adieu_io::handles::SEND_BUFFER
            ))
        })
    }
}

#[pymethods]
impl Channel {
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
