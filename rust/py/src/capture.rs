use std::path::PathBuf;
use std::sync::Arc;

use adieu_io::capture;
use pyo3::prelude::*;

use crate::convert::os_error;

#[pyclass(frozen, module = "adieu._core")]
pub struct Capture {
    pub inner: Arc<capture::Capture>,
}

#[pymethods]
impl Capture {
    #[new]
    #[pyo3(signature = (path, *, max_bytes = 67_108_864, contents = false))]
    fn start(path: PathBuf, max_bytes: u64, contents: bool) -> PyResult<Capture> {
        let inner = capture::Capture::start(&path, max_bytes, contents).map_err(os_error)?;
        Ok(Capture { inner: Arc::new(inner) })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.close()).map_err(os_error)
    }

    #[getter]
    fn written(&self) -> u64 {
        self.inner.counts().0
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.inner.counts().1
    }
}
