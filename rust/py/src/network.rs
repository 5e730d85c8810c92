use std::net::IpAddr;
use std::sync::Arc;

use adieu_io::memory::Link;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::convert::{address, endpoint, seconds, value_error};
use crate::event_queue::EventQueue;

#[pyclass(frozen, module = "adieu._core")]
pub struct VirtualNetwork {
    inner: Arc<adieu_io::memory::VirtualNetwork>,
}

#[pymethods]
impl VirtualNetwork {
    #[new]
    #[pyo3(signature = (seed = 0))]
    fn new(seed: u64) -> VirtualNetwork {
        VirtualNetwork { inner: Arc::new(adieu_io::memory::VirtualNetwork::new(seed)) }
    }

    #[getter]
    fn now(&self) -> f64 {
        self.inner.now().as_secs_f64()
    }

    #[pyo3(signature = (*addresses))]
    fn host(&self, addresses: Vec<String>) -> PyResult<EventQueue> {
        if addresses.is_empty() {
            return Err(value_error("a host needs at least one IP address"));
        }
        let addresses: PyResult<Vec<IpAddr>> = addresses.iter().map(|text| address(text)).collect();
        Ok(EventQueue::new(self.inner.host(addresses?)))
    }

    #[pyo3(signature = (*, loss = 0.0, delay = 0.0, jitter = 0.0, rate = None, queue = 262144))]
    fn link(&self, loss: f64, delay: f64, jitter: f64, rate: Option<f64>, queue: usize) -> PyResult<()> {
        if !(0.0..=1.0).contains(&loss) {
            return Err(value_error(format!("loss={loss} is not between 0 and 1")));
        }
        if let Some(rate) = rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return Err(value_error(format!(
                "rate={rate} is not a number of bytes a second above 0, or None"
            )));
        }
        let (delay, jitter) = (seconds("delay", delay)?, seconds("jitter", jitter)?);
        self.inner.set_link(Link { loss, delay, jitter, rate, queue });
        Ok(())
    }

    #[pyo3(signature = (address, cut = true))]
    fn cut(&self, address: &str, cut: bool) -> PyResult<()> {
        self.inner.cut(crate::convert::address(address)?, cut);
        Ok(())
    }

    #[pyo3(signature = (address, errno))]
    fn refuse(&self, address: &str, errno: Option<i32>) -> PyResult<()> {
        self.inner.refuse(crate::convert::address(address)?, errno);
        Ok(())
    }

    #[pyo3(signature = (count, skip = 0))]
    fn drop_next(&self, count: usize, skip: usize) {
        self.inner.drop_next(count, skip);
    }

    fn inject(&self, source: (String, u16), destination: (String, u16), datagram: &[u8]) -> PyResult<()> {
        let source = endpoint((&source.0, source.1))?;
        let destination = endpoint((&destination.0, destination.1))?;
        self.inner.inject(source, destination, datagram.to_vec());
        Ok(())
    }

    fn next(&self, py: Python<'_>) -> Option<f64> {
        py.detach(|| self.inner.next()).map(|at| at.as_secs_f64())
    }

    fn advance(&self, py: Python<'_>, now: f64) -> PyResult<()> {
        let until = seconds("now", now)?;
        py.detach(|| self.inner.advance(until));
        Ok(())
    }

    fn sent<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for one in self.inner.take_sent() {
            let (source, destination) = (one.source, one.destination);
            let bytes = PyBytes::new(py, &one.bytes);
            let tuple: Bound<'py, PyTuple> = (
                one.at.as_secs_f64(),
                source.ip().to_string(),
                source.port(),
                destination.ip().to_string(),
                destination.port(),
                bytes,
            )
                .into_pyobject(py)?;
            list.append(tuple)?;
        }
        Ok(list)
    }

    #[pyo3(signature = (on = true))]
    fn record(&self, on: bool) {
        self.inner.record(on);
    }
}
