use std::net::IpAddr;
use std::sync::Arc;

use adieu_io::memory::{Link, Way};
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

    #[pyo3(signature = (
        *,
        loss = 0.0,
        delay = 0.0,
        jitter = 0.0,
        rate = None,
        queue = 262144,
        late_loss = 0.0,
        burst = 1.0,
        ordered = false,
        reorder = 0.0,
        reorder_delay = 0.005,
        codel = false,
        others = 0.0,
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn link(
        &self,
        loss: f64,
        delay: f64,
        jitter: f64,
        rate: Option<f64>,
        queue: usize,
        late_loss: f64,
        burst: f64,
        ordered: bool,
        reorder: f64,
        reorder_delay: f64,
        codel: bool,
        others: f64,
    ) -> PyResult<()> {
        for (name, value) in [("loss", loss), ("late_loss", late_loss), ("reorder", reorder)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(value_error(format!("{name}={value} is not between 0 and 1")));
            }
        }
        if let Some(rate) = rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return Err(value_error(format!(
                "rate={rate} is not a number of bytes a second above 0, or None"
            )));
        }
        if !(burst >= 1.0 && burst.is_finite()) {
            return Err(value_error(format!("burst={burst} is not a number of datagrams from 1")));
        }
        if !(0.0..=rate.unwrap_or(f64::MAX)).contains(&others) {
            return Err(value_error(format!("others={others} is not between 0 and the rate")));
        }
        let (delay, jitter) = (seconds("delay", delay)?, seconds("jitter", jitter)?);
        let reorder_delay = seconds("reorder_delay", reorder_delay)?;
        self.inner.set_link(Link {
            loss,
            late_loss,
            burst,
            delay,
            jitter,
            ordered,
            reorder,
            reorder_delay,
            rate,
            queue,
            codel,
            others,
        });
        Ok(())
    }

    #[pyo3(signature = (address, cut = true, *, way = "both"))]
    fn cut(&self, address: &str, cut: bool, way: &str) -> PyResult<()> {
        let way = match way {
            "both" => Way::Both,
            "in" => Way::In,
            "out" => Way::Out,
            _ => return Err(value_error(format!("way={way:?} is not \"in\", \"out\" or \"both\""))),
        };
        self.inner.cut_way(crate::convert::address(address)?, way, cut);
        Ok(())
    }

    fn turn_server(&self, address: &str, port: u16, username: &str, password: &str) -> PyResult<()> {
        let ip = crate::convert::address(address)?;
        if port == 0 || !self.inner.add_relay((ip, port).into(), username, password) {
            return Err(value_error(format!(
                "{address}:{port}: there is a TURN server already, or no such port"
            )));
        }
        Ok(())
    }

    fn turn_keeps(&self, address: &str, keeps: bool) -> PyResult<()> {
        self.inner.keep_relayed(crate::convert::address(address)?, keeps);
        Ok(())
    }

    fn turn_allocations(&self, address: &str) -> PyResult<usize> {
        Ok(self.inner.relay_holds(crate::convert::address(address)?))
    }

    #[pyo3(signature = (address, blocked = true))]
    fn block_udp(&self, address: &str, blocked: bool) -> PyResult<()> {
        self.inner.block_udp(crate::convert::address(address)?, blocked);
        Ok(())
    }

    #[pyo3(signature = (address, errno))]
    fn refuse(&self, address: &str, errno: Option<i32>) -> PyResult<()> {
        self.inner.refuse(crate::convert::address(address)?, errno);
        Ok(())
    }

    fn nat(&self, inside: &str, outside: &str) -> PyResult<()> {
        self.inner.nat(address(inside)?, address(outside)?);
        Ok(())
    }

    #[pyo3(signature = (host, *addresses))]
    fn move_host(&self, host: &EventQueue, addresses: Vec<String>) -> PyResult<()> {
        let addresses: PyResult<Vec<IpAddr>> = addresses.iter().map(|text| address(text)).collect();
        self.inner.move_host(host.id(), addresses?);
        Ok(())
    }

    fn wake_host(&self, host: &EventQueue, slept: f64) -> PyResult<()> {
        self.inner.wake_host(host.id(), seconds("slept", slept)?);
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
