//! Checks of arguments from Python: each error names the value and the remedy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

pub fn value_error(message: impl Into<String>) -> PyErr {
    PyValueError::new_err(message.into())
}

/// OSError with its number, so that it is of its class, and in words that say what to do.
pub fn os_error(error: std::io::Error) -> PyErr {
    let text = adieu_io::trouble::name(&error);
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}

/// Thirty years: a clock can be that much ahead, and no further than it can count.
const LONGEST: f64 = 1e9;

/// A span of time; `name` is the argument's.
pub fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|_| value <= LONGEST)
        .ok_or_else(|| value_error(format!("{name}={value} is not a number of seconds from 0 to 1e9")))
}

pub fn address(text: &str) -> PyResult<IpAddr> {
    text.parse().map_err(|_| value_error(format!("{text:?} is not an IP address")))
}

pub fn endpoint((host, port): (&str, u16)) -> PyResult<SocketAddr> {
    Ok(SocketAddr::new(address(host)?, port))
}

pub fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> PyResult<T> {
    choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        value_error(format!("{name}={value:?} is not one of {}", words.join(", ")))
    })
}
