//! Messages that are handed out without a Python frame but their handler's own.

use std::ffi::c_int;
use std::mem::transmute;
use std::sync::Arc;

use adieu_io::shared::TransportShared;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// Makes MessageEvents: what its `__init__` does, member by member, without calling it.
#[pyclass(frozen, module = "adieu._core")]
pub struct MessageFactory {
    class: Py<PyType>,
    allocate: ffi::allocfunc,
    name: Py<PyString>,
    type_: Member,
    target: Member,
    data: Member,
}

/// A member of a class with `__slots__`, and the function behind its descriptor.
struct Member {
    descriptor: Py<PyAny>,
    set: ffi::descrsetfunc,
}

impl Member {
    fn of(class: &Bound<'_, PyType>, name: &str) -> PyResult<Member> {
        let descriptor = class.getattr(name)?;
        let kind = descriptor.get_type();
        if kind.name()? != "member_descriptor" {
            return Err(PyTypeError::new_err(format!("{class} has no slot {name:?}")));
        }
        // SAFETY: a member descriptor has this slot, and a slot of this number holds such a function.
        let set = unsafe {
            transmute::<*mut std::ffi::c_void, ffi::descrsetfunc>(slot(&kind, ffi::Py_tp_descr_set))
        };
        Ok(Member { descriptor: descriptor.unbind(), set })
    }

    /// # Safety
    /// `object` must be an instance of the class that the member was read from.
    unsafe fn put(
        &self,
        py: Python<'_>,
        object: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        // SAFETY: all three are alive; the descriptor checks the object's type itself.
        let result = unsafe { (self.set)(self.descriptor.as_ptr(), object.as_ptr(), value.as_ptr()) };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

fn slot(class: &Bound<'_, PyType>, number: c_int) -> *mut std::ffi::c_void {
    // SAFETY: the class is alive.
    unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), number) }
}

#[pymethods]
impl MessageFactory {
    #[new]
    fn new(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> PyResult<MessageFactory> {
        let (type_, target, data) =
            (Member::of(class, "type")?, Member::of(class, "target")?, Member::of(class, "data")?);
        // SAFETY: every class has this slot, and it holds such a function.
        let allocate =
            unsafe { transmute::<*mut std::ffi::c_void, ffi::allocfunc>(slot(class, ffi::Py_tp_alloc)) };
        Ok(MessageFactory {
            class: class.clone().unbind(),
            allocate,
            name: name.clone().unbind(),
            type_,
            target,
            data,
        })
    }
}

impl MessageFactory {
    fn make<'py>(
        &self,
        py: Python<'py>,
        target: &Py<PyAny>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the class is alive; what comes is a new reference to an instance of it, or null and an exception.
        unsafe {
            let event = (self.allocate)(self.class.bind(py).as_type_ptr(), 0);
            let event = Bound::from_owned_ptr_or_err(py, event)?;
            self.type_.put(py, &event, self.name.bind(py))?;
            self.target.put(py, &event, target.bind(py))?;
            self.data.put(py, &event, data)?;
            Ok(event)
        }
    }
}

/// The way of a channel's messages to the one plain handler that they have.
pub struct Route {
    pub target: Py<PyAny>,
    pub handler: Py<PyAny>,
    pub factory: Py<MessageFactory>,
    pub transport: Arc<TransportShared>,
}

impl Route {
    pub fn clone_ref(&self, py: Python<'_>) -> Route {
        Route {
            target: self.target.clone_ref(py),
            handler: self.handler.clone_ref(py),
            factory: self.factory.clone_ref(py),
            transport: self.transport.clone(),
        }
    }

    /// Call the handler. The target handles its result and its exception, unless the exception ends the program.
    pub fn hand_out(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let event = self.factory.get().make(py, &self.target, data)?;
        let null = std::ptr::null_mut::<ffi::PyObject>();
        // SAFETY: both are alive, and a null ends the arguments. What comes is a new reference, or null and an exception.
        let result = unsafe {
            let result = ffi::PyObject_CallFunctionObjArgs(self.handler.as_ptr(), event.as_ptr(), null);
            Bound::from_owned_ptr_or_err(py, result)
        };
        match result {
            Ok(returned) if returned.is_none() => Ok(()),
            Ok(returned) => {
                self.target.bind(py).call_method1("handle_returned", (returned, event))?;
                Ok(())
            }
            Err(error) if error.is_instance_of::<PyException>(py) => {
                self.target.bind(py).call_method1("handle_raised", (error.into_value(py), event))?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
