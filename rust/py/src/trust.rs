use std::sync::Arc;

use pyo3::prelude::*;

use crate::convert::value_error;

#[pyclass(frozen, module = "adieu._core")]
pub struct Trust {
    pub inner: Arc<adieu_io::Trust>,
}

#[pymethods]
impl Trust {
    #[new]
    fn new(pem: &[u8]) -> PyResult<Trust> {
        Ok(Trust { inner: adieu_io::Trust::from_pem(pem).map_err(value_error)? })
    }
}
