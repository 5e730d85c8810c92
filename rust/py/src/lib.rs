//! `adieu._core`: the Python face of the core. Conversions only; `python/adieu/_core.pyi` is its documentation.

mod certificate;
mod channel;
mod convert;
mod events;
mod loops;
mod network;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

#[pyfunction]
fn set_log(wanted: bool) {
    adieu_io::lines::set_wanted(wanted);
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    for (name, number) in events::NAMES {
        module.add(name, number)?;
    }
    let object = module.py().get_type::<PyAny>();
    module.add("Event", module.py().get_type::<PyTuple>().get_item((object, module.py().Ellipsis()))?)?;
    module.add_function(wrap_pyfunction!(set_log, module)?)?;
    module.add_class::<certificate::Certificate>()?;
    module.add_class::<channel::Channel>()?;
    module.add_class::<loops::Loop>()?;
    module.add_class::<network::VirtualNetwork>()
}
