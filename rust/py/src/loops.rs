use std::sync::atomic::{AtomicBool, Ordering};

use adieu_engine::ice::{Credentials, Role};
use adieu_engine::{ChannelOptions, Fingerprint, Reliability, RemoteCandidate};
use adieu_io::{Core, Gather, LoopOptions, Loopback, Policy, StunServer};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyList};

use crate::certificate::Certificate;
use crate::channel::Channel;
use crate::convert::{choice, os_error, seconds, value_error};
use crate::events;

#[pyclass(frozen, module = "adieu._core")]
pub struct Loop {
    pub inner: adieu_io::Loop,
}

/// The wait at exit is registered once, with the first loop: importing the module does nothing.
static WAITS_AT_EXIT: AtomicBool = AtomicBool::new(false);

fn wait_at_exit(py: Python<'_>) -> PyResult<()> {
    if WAITS_AT_EXIT.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let shutdown = PyCFunction::new_closure(py, Some(c"adieu_shutdown"), None, |arguments, _| {
        arguments.py().detach(Core::shutdown);
    })?;
    py.import("atexit")?.call_method1("register", (shutdown,))?;
    Ok(())
}

#[pymethods]
impl Loop {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Loop> {
        let inner = py.detach(Core::open_loop).map_err(os_error)?;
        wait_at_exit(py)?;
        Ok(Loop { inner })
    }

    fn fileno(&self) -> i32 {
        self.inner.fileno()
    }

    fn drain<'py>(
        &self,
        py: Python<'py>,
        max_events: usize,
        max_bytes: usize,
    ) -> PyResult<(Bound<'py, PyList>, bool)> {
        let list = PyList::empty(py);
        if !self.inner.is_alive() {
            return Ok((list, false));
        }
        self.inner.lower();
        let (mut count, mut bytes) = (0, 0);
        while count < max_events && bytes < max_bytes {
            let Some(event) = self.inner.pop() else { break };
            count += 1;
            bytes += events::size(&event);
            list.append(events::to_tuple(py, &self.inner, event)?)?;
        }
        self.inner.drained();
        Ok((list, !self.inner.queue().is_empty()))
    }

    fn close(&self) {
        self.inner.close();
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, count) in self.inner.queue().counters.list() {
            counters.set_item(name, count)?;
        }
        counters.set_item("queued_events", self.inner.queue().len())?;
        Ok(counters)
    }

    fn connection(&self, certificate: &Certificate) -> u64 {
        self.inner.connection(certificate.inner.clone())
    }

    #[pyo3(signature = (connection, reason = "Close called"))]
    fn close_connection(&self, connection: u64, reason: &str) {
        self.inner.close_connection(connection, reason.to_owned());
    }

    #[pyo3(signature = (
        connection,
        *,
        disconnected_after = 2.5,
        failed_after = 15.0,
        receive_buffer = 8388608,
        max_message_size = 262144,
    ))]
    fn transport(
        &self,
        connection: u64,
        disconnected_after: f64,
        failed_after: f64,
        receive_buffer: usize,
        max_message_size: usize,
    ) -> PyResult<u64> {
        let options = LoopOptions {
            disconnected_after: seconds("disconnected_after", disconnected_after)?,
            failed_after: seconds("failed_after", failed_after)?,
            receive_buffer,
            max_message_size,
        };
        Ok(self.inner.transport(connection, options))
    }

    fn close_transport(&self, transport: u64) {
        self.inner.close_transport(transport);
    }

    #[pyo3(signature = (
        transport, generation, ufrag, pwd, controlling, servers, policy = "all", loopback = "auto",
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn gather(
        &self,
        transport: u64,
        generation: u32,
        ufrag: String,
        pwd: String,
        controlling: bool,
        servers: Vec<String>,
        policy: &str,
        loopback: &str,
    ) -> PyResult<()> {
        let servers: Result<Vec<StunServer>, String> =
            servers.iter().map(|url| StunServer::parse(url)).collect();
        let gather = Gather {
            generation,
            local: credentials(ufrag, pwd)?,
            role: role(controlling),
            servers: servers.map_err(value_error)?,
            policy: choice("policy", policy, &[("all", Policy::All), ("relay", Policy::Relay)])?,
            loopback: choice(
                "loopback",
                loopback,
                &[("auto", Loopback::Auto), ("always", Loopback::Always), ("never", Loopback::Never)],
            )?,
        };
        self.inner.gather(transport, gather);
        Ok(())
    }

    fn set_role(&self, transport: u64, generation: u32, controlling: bool) {
        self.inner.set_role(transport, generation, role(controlling));
    }

    #[pyo3(signature = (transport, generation, ufrag, pwd, lite = false))]
    fn set_remote(
        &self,
        transport: u64,
        generation: u32,
        ufrag: String,
        pwd: String,
        lite: bool,
    ) -> PyResult<()> {
        self.inner.set_remote(transport, generation, credentials(ufrag, pwd)?, lite);
        Ok(())
    }

    fn add_candidate(&self, transport: u64, generation: u32, line: Option<&str>) -> PyResult<()> {
        let candidate = line.map(RemoteCandidate::parse).transpose().map_err(value_error)?;
        self.inner.add_candidate(transport, generation, candidate);
        Ok(())
    }

    fn drop_generation(&self, transport: u64, generation: u32) {
        self.inner.drop_generation(transport, generation);
    }

    fn start_dtls(&self, transport: u64, client: bool, fingerprints: Vec<(String, String)>) -> PyResult<()> {
        let offered = fingerprints.iter().map(|(algorithm, value)| (algorithm.as_str(), value.as_str()));
        let fingerprints = Fingerprint::parse_all(offered).map_err(value_error)?;
        self.inner.start_dtls(transport, client, fingerprints);
        Ok(())
    }

    fn start_sctp(&self, transport: u64, local_port: u16, remote_port: u16, remote_max_message_size: usize) {
        self.inner.start_sctp(transport, local_port, remote_port, remote_max_message_size);
    }

    #[pyo3(signature = (
        transport,
        stream_id,
        *,
        label,
        protocol,
        negotiated,
        ordered = true,
        max_packet_life_time = None,
        max_retransmits = None,
        priority = 256,
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn open_channel(
        &self,
        transport: u64,
        stream_id: u16,
        label: String,
        protocol: String,
        negotiated: bool,
        ordered: bool,
        max_packet_life_time: Option<u16>,
        max_retransmits: Option<u16>,
        priority: u16,
    ) -> PyResult<Channel> {
        let reliability = match (max_packet_life_time, max_retransmits) {
            (None, None) => Reliability::Full,
            (Some(milliseconds), None) => Reliability::Lifetime(milliseconds),
            (None, Some(count)) => Reliability::Retransmits(count),
            (Some(_), Some(_)) => {
                return Err(value_error("max_packet_life_time and max_retransmits can not both be set"));
            }
        };
        if stream_id == u16::MAX {
            return Err(value_error("stream_id=65535 does not exist: the last is 65534"));
        }
        for (name, text) in [("label", &label), ("protocol", &protocol)] {
            if text.len() > usize::from(u16::MAX) {
                return Err(value_error(format!("{name} has {} bytes, more than 65535", text.len())));
            }
        }
        let options = ChannelOptions { label, protocol, negotiated, ordered, reliability, priority };
        Ok(Channel { inner: self.inner.open_channel(transport, stream_id, options) })
    }

    fn consumed(&self, transport: u64, size: usize) {
        self.inner.consumed(transport, size);
    }

    fn request_stats(&self, transport: u64, request: u64) {
        self.inner.request_stats(transport, request);
    }
}

fn role(controlling: bool) -> Role {
    if controlling { Role::Controlling } else { Role::Controlled }
}

const ALSO: &str = "+/=_#-";
/// The two ufrags and the colon between them are a user name of STUN, of which the ICE crate writes 128 bytes and panics
/// at more. Ours has 8.
const MAX_UFRAG: usize = 128 - 1 - 8;
const MAX_PWD: usize = 256;

/// RFC 8839 section 5.4: 4 to 256 and 22 to 256 letters, digits, + or /. Media servers also write the letters of other
/// alphabets of base64, and browsers let them in (`adieu/sdp/grammar.py`).
fn credentials(ufrag: String, pwd: String) -> PyResult<Credentials> {
    let is_ice = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || ALSO.as_bytes().contains(&c))
    };
    if !is_ice(&ufrag, 4, MAX_UFRAG) {
        return Err(value_error(format!(
            "ufrag={ufrag:?} is not 4 to {MAX_UFRAG} letters, digits or {ALSO}"
        )));
    }
    if !is_ice(&pwd, 22, MAX_PWD) {
        // The value is a secret: its length says enough.
        return Err(value_error(format!(
            "pwd of {} characters is not 22 to {MAX_PWD} letters, digits or {ALSO}",
            pwd.len()
        )));
    }
    Ok(Credentials { ufrag, pwd })
}
