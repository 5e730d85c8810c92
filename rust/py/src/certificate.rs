use std::sync::Arc;

use adieu_io::core;
use pyo3::prelude::*;

use crate::convert::{seconds, value_error};

#[pyclass(frozen, module = "adieu._core")]
pub struct Certificate {
    pub inner: Arc<adieu_engine::Certificate>,
}

#[pymethods]
impl Certificate {
    #[staticmethod]
    #[pyo3(signature = (valid_for = 2592000.0))]
    fn generate(py: Python<'_>, valid_for: f64) -> PyResult<Certificate> {
        let valid_for = seconds("valid_for", valid_for)?;
        let made = py.detach(|| core::certificate(valid_for)).map_err(value_error)?;
        Ok(Certificate { inner: Arc::new(made) })
    }

    #[staticmethod]
    fn from_pem(certificate: &str, private_key: &str) -> PyResult<Certificate> {
        let read = adieu_engine::Certificate::from_pem(certificate, private_key).map_err(value_error)?;
        Ok(Certificate { inner: Arc::new(read) })
    }

    fn to_pem(&self) -> PyResult<(String, String)> {
        self.inner.to_pem().map_err(value_error)
    }

    #[pyo3(signature = (algorithm = "sha-256"))]
    fn fingerprint(&self, algorithm: &str) -> PyResult<String> {
        self.inner.fingerprint(algorithm).ok_or_else(|| {
            value_error(format!(
                "algorithm={algorithm:?} is not one of \"sha-256\", \"sha-384\", \"sha-512\""
            ))
        })
    }

    #[getter]
    fn expires(&self) -> f64 {
        self.inner.expires() as f64
    }
}
