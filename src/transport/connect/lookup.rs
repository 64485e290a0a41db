//! Name look-ups, shared by all threads of the process: however many connections are
//! wanted at once, a name is looked up once, and a slow name delays no other.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long an answer is used. Long enough for a burst of connections; short enough not to
/// outlive a change that the name's owner announced by a short time to live.
const FRESH: Duration = Duration::from_secs(2);
/// After this time without an answer the name is looked up once more.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many look-ups of one name may be without an answer.
const MAX_RUNNING: usize = 4;

/// The name could not be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoAddress;

/// A way to look up names.
pub(super) trait Lookup: Send + Sync {
    /// Begins to look up a name, and drops `running` when it has ended. What is returned need
    /// not be polled for that, and depends on no runtime.
    fn begin(&self, host: &str, running: Arc<()>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's look-up. It blocks, so each has a thread of its own: the blocking
/// threads of a runtime are few, and shared with others.
struct SystemLookup;

impl Lookup for SystemLookup {
    fn begin(&self, host: &str, running: Arc<()>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("lookup".into());
        let started = thread.spawn(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            let found = found.map(|found| found.map(|address| address.ip()).collect());
            drop(running);
            let _nobody_waits = sender.send(found);
        });
        async move {
            started?;
            receiver.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

type FoundAddresses = Result<Arc<[IpAddr]>, NoAddress>;

/// One look-up, and everyone who waits for it.
struct Flight {
    begun: Instant,
    answer: Shared<BoxFuture<'static, (FoundAddresses, Instant)>>,
}

impl Flight {
    /// Whether who asks now should wait for it, or use its answer.
    fn is_current(&self) -> bool {
        match self.answer.peek() {
            Some((answer, at)) => answer.is_ok() && at.elapsed() < FRESH,
            None => self.begun.elapsed() < PATIENCE,
        }
    }
}

struct Name {
    latest: Flight,
    /// As many clones as look-ups of the name are without an answer, and one.
    running: Arc<()>,
}

/// The look-ups of all threads.
pub(super) struct Lookups {
    way: Box<dyn Lookup>,
    names: Mutex<HashMap<String, Name>>,
}

impl Lookups {
    pub(super) fn new(way: impl Lookup + 'static) -> Self {
        Self {
            way: Box::new(way),
            names: Mutex::default(),
        }
    }

    /// Those of this process.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Lookups>> =
            LazyLock::new(|| Arc::new(Lookups::new(SystemLookup)));
        Arc::clone(&SHARED)
    }

    /// The addresses of a host, in the order in which they should be tried; at least one.
    ///
    /// # Errors
    /// [`NoAddress`]. Waits without limit.
    pub(super) async fn addresses(&self, host: &str) -> FoundAddresses {
        // Not across the await.
        let answer = self.flight(host);
        answer.await.0
    }

    fn flight(&self, host: &str) -> Shared<BoxFuture<'static, (FoundAddresses, Instant)>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(host)
            && (name.latest.is_current() || Arc::strong_count(&name.running) > MAX_RUNNING)
        {
            return name.latest.answer.clone();
        }
        names.retain(|_, name| name.latest.is_current() || Arc::strong_count(&name.running) > 1);
        let earlier = names.get(host).map(|name| Arc::clone(&name.running));
        let running = earlier.unwrap_or_default();
        let begun = Instant::now();
        let look_up = self.way.begin(host, Arc::clone(&running));
        let answer = async move {
            let answer = match look_up.await {
                Ok(addresses) if !addresses.is_empty() => Ok(addresses.into()),
                Ok(_) | Err(_) => Err(NoAddress),
            };
            (answer, Instant::now())
        };
        let answer = answer.boxed().shared();
        let latest = Flight {
            begun,
            answer: answer.clone(),
        };
        names.insert(host.to_owned(), Name { latest, running });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    /// Answers after a second; counts.
    #[derive(Clone, Default)]
    struct SlowLookup(Arc<AtomicUsize>);

    impl Lookup for SlowLookup {
        fn begin(
            &self,
            host: &str,
            running: Arc<()>,
        ) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let time = self.0.fetch_add(1, Ordering::Relaxed);
            let host = host.to_owned();
            async move {
                match host.as_str() {
                    "hangs" => {
                        // A thread that hangs keeps it, whether anyone waits or not.
                        std::mem::forget(running);
                        std::future::pending().await
                    }
                    "fails" => Err(io::ErrorKind::Other.into()),
                    "none" => Ok(Vec::new()),
                    _ => {
                        sleep(Duration::from_secs(1)).await;
                        Ok(vec![[10, 0, 0, u8::try_from(time).unwrap()].into()])
                    }
                }
            }
            .boxed()
        }
    }

    fn slow() -> (Lookups, impl Fn() -> usize) {
        let way = SlowLookup::default();
        let count = Arc::clone(&way.0);
        (Lookups::new(way), move || count.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn thirty_that_ask_at_once_wait_for_one_look_up() {
        let (lookups, count) = slow();
        let begun = Instant::now();
        let answers = join_all((0..30).map(|_| lookups.addresses("vendor"))).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        assert_eq!(count(), 1);
        assert!(answers.iter().all(Result::is_ok));
        // Another name is looked up beside it.
        let both = [lookups.addresses("one"), lookups.addresses("other")];
        assert!(join_all(both).await.iter().all(Result::is_ok));
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_for_a_moment_and_a_failure_is_not() {
        let (lookups, count) = slow();
        let first = lookups.addresses("vendor").await;
        assert_eq!(lookups.addresses("vendor").await, first);
        advance(FRESH).await;
        assert_ne!(lookups.addresses("vendor").await, first);
        assert_eq!(count(), 2);
        for name in ["fails", "none", "fails", "none"] {
            assert_eq!(lookups.addresses(name).await, Err(NoAddress));
        }
        assert_eq!(count(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_look_up_to_the_next() {
        let (lookups, count) = slow();
        let short = Duration::from_millis(600);
        for is_there in [false, true] {
            let answer = tokio::time::timeout(short, lookups.addresses("vendor")).await;
            assert_eq!(answer.is_ok(), is_there);
        }
        assert_eq!(count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_hangs_is_repeated_but_not_without_end() {
        let (lookups, count) = slow();
        for _ in 0..20 {
            let answer = tokio::time::timeout(PATIENCE, lookups.addresses("hangs")).await;
            assert!(answer.is_err());
            // The others are not affected.
            assert!(lookups.addresses("vendor").await.is_ok());
        }
        assert_eq!(count(), MAX_RUNNING + 20);
    }

    #[tokio::test]
    async fn the_operating_system_is_asked() {
        let lookups = Lookups::shared();
        let addresses = lookups.addresses("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        let nowhere = lookups.addresses("does-not-exist.invalid").await;
        assert_eq!(nowhere, Err(NoAddress));
    }
}
