//! The Python face of the core: conversions only.
use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
