//! `adieu._core`: the Python face of the core. Conversions only; `python/adieu/_core.pyi` is its documentation.

mod addresses;
mod capture;
mod certificate;
mod channel;
mod convert;
mod dispatch;
mod event_queue;
mod events;
mod media;
mod media_stats;
mod network;
mod trust;

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
    module.add_class::<addresses::Addresses>()?;
    module.add_class::<capture::Capture>()?;
    module.add_class::<certificate::Certificate>()?;
    module.add_class::<channel::Channel>()?;
    module.add_class::<channel::ChannelOptions>()?;
    module.add_class::<dispatch::MessageFactory>()?;
    module.add_class::<event_queue::EventQueue>()?;
    module.add_class::<trust::Trust>()?;
    module.add_class::<media::AudioSink>()?;
    module.add_class::<media::FrameSink>()?;
    module.add_class::<media::PacketSink>()?;
    module.add_class::<media::AudioSource>()?;
    module.add_class::<media::Section>()?;
    module.add_class::<network::VirtualNetwork>()
}
