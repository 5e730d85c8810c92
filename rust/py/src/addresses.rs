use std::sync::Arc;

use adieu_io::{Filter, Loopback, Ports, Public};
use pyo3::prelude::*;

use crate::convert::{choice, value_error};

#[pyclass(frozen, module = "adieu._core")]
pub struct Addresses {
    pub inner: Arc<adieu_io::Addresses>,
}

#[pymethods]
impl Addresses {
    #[new]
    #[pyo3(signature = (
        *,
        loopback = "auto",
        ports = None,
        shared_port = None,
        publics = Vec::new(),
        keeps_inside = false,
        interfaces = Vec::new(),
        default_route_only = false,
    ))]
    fn new(
        loopback: &str,
        ports: Option<(u16, u16)>,
        shared_port: Option<u16>,
        publics: Vec<(Option<String>, String)>,
        keeps_inside: bool,
        interfaces: Vec<String>,
        default_route_only: bool,
    ) -> PyResult<Addresses> {
        let publics: Result<_, String> =
            publics.iter().map(|(inside, outside)| Public::parse(inside.as_deref(), outside)).collect();
        let filters: Result<_, String> = interfaces.iter().map(|rule| Filter::parse(rule)).collect();
        let inner = adieu_io::Addresses {
            loopback: choice(
                "loopback",
                loopback,
                &[("auto", Loopback::Auto), ("always", Loopback::Always), ("never", Loopback::Never)],
            )?,
            ports: ports.map(|(first, last)| Ports::new(first, last)).transpose().map_err(value_error)?,
            shared_port,
            publics: publics.map_err(value_error)?,
            keeps_inside,
            filters: filters.map_err(value_error)?,
            default_route_only,
        };
        Ok(Addresses { inner: Arc::new(inner) })
    }
}
