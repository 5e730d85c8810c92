//! `adieu._core`: the Python face of the core. Conversions only; `python/adieu/_core.pyi` is its documentation.

mod certificate;
mod channel;
mod convert;
mod dispatch;
mod event_queue;
mod events;
mod network;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

#[pyfunction]
fn set_log(wanted: bool) {
    adieu_io::lines::set_wanted(wanted);
}

/// Messages are allocated by one thread and freed by another, small ones by the hundred thousand: there it is twice as
/// fast as glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    for (number, row) in events::TABLE.iter().enumerate() {
        module.add(row.name, number)?;
    }
    module.add("EVENTS", events::rows(module.py())?)?;
    let object = module.py().get_type::<PyAny>();
    module.add("Event", module.py().get_type::<PyTuple>().get_item((object, module.py().Ellipsis()))?)?;
    module.add_function(wrap_pyfunction!(set_log, module)?)?;
    module.add_class::<certificate::Certificate>()?;
    module.add_class::<channel::Channel>()?;
    module.add_class::<channel::ChannelOptions>()?;
    module.add_class::<dispatch::MessageFactory>()?;
    module.add_class::<event_queue::EventQueue>()?;
    module.add_class::<network::VirtualNetwork>()
}
