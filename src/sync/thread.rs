#[cfg(shuttle)]
use shuttle::thread;
#[cfg(not(shuttle))]
use std::thread;

pub(crate) use thread::ThreadId;

/// Which thread this is: no two of a process are ever the same.
pub(crate) fn this_thread() -> ThreadId {
    thread::current().id()
}
