//! Single threads of another process: stopped, as by a call that hangs, or made to panic, as by
//! a bug. Done from outside (ptrace(2)), so that the program needs no way in.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::process::Process;
use crate::tools::skip;

/// Both wait for events of an event loop (`epoll_wait` and `epoll_pwait`, syscalls(2)).
const WAITS: [u64; 2] = [232, 281];
/// How long a thread may be busy until it waits for events.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A thread that is stopped until this is dropped. It belongs to the thread that stopped it.
pub struct StoppedThread(Pid);

/// Whether this machine lets a process trace its children. Says so if the calling test has to
/// be skipped.
pub fn can_trace(process: &Process) -> bool {
    match stop(Pid::from_raw(i32::try_from(process.id()).unwrap())) {
        Ok(_released) => true,
        Err(error) => {
            let why = format!("no process can be traced here: {error}");
            skip("OFFERGATE_TEST_TRACE", &why);
            false
        }
    }
}

/// The threads with this name (of at most 15 characters), oldest first.
pub fn threads(process: &Process, name: &str) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let mut found: Vec<i32> = tasks
        .map(|task| task.unwrap())
        .filter(|task| {
            let comm = std::fs::read_to_string(task.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        })
        .map(|task| task.file_name().to_str().unwrap().parse().unwrap())
        .collect();
    found.sort_unstable();
    found.into_iter().map(Pid::from_raw).collect()
}

/// Stops a thread.
pub fn stop(thread: Pid) -> Result<StoppedThread, Errno> {
    ptrace::seize(thread, ptrace::Options::empty())?;
    let stopped = StoppedThread(thread);
    ptrace::interrupt(thread)?;
    match waitpid(thread, Some(WaitPidFlag::__WALL))? {
        WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..) => Ok(stopped),
        other => panic!("{other:?}"),
    }
}

/// Lets the next wait of an event loop fail, after which its thread panics.
pub async fn fail_event_loop(thread: Pid) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let stopped = stop(thread).unwrap();
        let mut registers = ptrace::getregs(thread).unwrap();
        let is_interrupted = registers.rax == result(Errno::EINTR);
        if WAITS.contains(&registers.orig_rax) && is_interrupted {
            registers.rax = result(Errno::EBADF);
            ptrace::setregs(thread, registers).unwrap();
            return drop(stopped);
        }
        drop(stopped);
        assert!(Instant::now() < deadline, "the thread is never idle");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What a system call returns for this error.
fn result(error: Errno) -> u64 {
    (-i64::from(error as i32)).cast_unsigned()
}

impl StoppedThread {
    /// Waits until the thread has ended with its process, which ends only then.
    pub async fn killed(self) {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        while let Ok(WaitStatus::StillAlive | WaitStatus::PtraceEvent(..)) =
            waitpid(self.0, Some(flags))
        {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        let _ended_already = ptrace::detach(self.0, None);
    }
}
