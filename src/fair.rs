//! A channel in which everybody has a queue of their own and they take turns: whoever says much
//! holds up themselves. It never waits for room; what finds none comes back to the sender.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// For each.
    pub each: usize,
    /// For all together; whoever has nothing waiting yet has a place nevertheless, as long as there
    /// are no more of those than this.
    pub all: usize,
}

#[derive(Debug)]
struct Desk<K, T> {
    /// None is empty.
    queues: BTreeMap<K, VecDeque<T>>,
    turns: VecDeque<K>,
    waiting: usize,
    room: Room,
    closed: bool,
    missed: u64,
}

#[derive(Debug)]
struct Shared<K, T> {
    desk: Mutex<Desk<K, T>>,
    arrived: Notify,
}

impl<K, T> Shared<K, T> {
    fn desk(&self) -> MutexGuard<'_, Desk<K, T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end into which things are put.
#[derive(Debug)]
pub struct Sender<K, T>(Arc<Shared<K, T>>);

impl<K, T> Clone for Sender<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The end where they come out.
#[derive(Debug)]
pub struct Receiver<K, T>(Arc<Shared<K, T>>);

/// A new channel.
pub fn channel<K: Ord + Clone, T>(room: Room) -> (Sender<K, T>, Receiver<K, T>) {
    let (queues, turns) = (BTreeMap::new(), VecDeque::new());
    let desk = Desk { queues, turns, waiting: 0, room, closed: false, missed: 0 };
    let shared = Arc::new(Shared { desk: Mutex::new(desk), arrived: Notify::new() });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<K: Ord + Clone, T> Desk<K, T> {
    fn has_room(&self, whose: &K) -> bool {
        match self.queues.get(whose) {
            Some(queue) => queue.len() < self.room.each && self.waiting < self.room.all,
            None => self.turns.len() < self.room.all,
        }
    }

    fn put(&mut self, whose: K, what: T) {
        let queue = self.queues.entry(whose.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(whose);
        }
        queue.push_back(what);
        self.waiting += 1;
    }

    fn take(&mut self) -> Option<T> {
        let whose = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&whose)?;
        let what = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&whose);
        } else {
            self.turns.push_back(whose);
        }
        self.waiting -= usize::from(what.is_some());
        what
    }
}

impl<K: Ord + Clone, T> Sender<K, T> {
    /// Puts something in, behind what is there of the same owner.
    ///
    /// # Errors
    ///
    /// With what was to be put in, when there is no room for more of this owner or the channel is
    /// closed.
    pub fn send(&self, whose: K, what: T) -> Result<(), T> {
        let mut desk = self.0.desk();
        if desk.closed || !desk.has_room(&whose) {
            desk.missed += 1;
            return Err(what);
        }
        desk.put(whose, what);
        drop(desk);
        self.0.arrived.notify_one();
        Ok(())
    }

    /// Puts in what must not be lost, room or not.
    pub fn must_send(&self, whose: K, what: T) {
        self.0.desk().put(whose, what);
        self.0.arrived.notify_one();
    }
}

impl<K, T> Sender<K, T> {
    /// How much waits.
    pub fn waiting(&self) -> usize {
        self.0.desk().waiting
    }
}

impl<K: Ord + Clone, T> Receiver<K, T> {
    /// What comes next; waits until there is something. May be dropped and called again.
    pub async fn recv(&mut self) -> T {
        loop {
            if let Some(what) = self.try_recv() {
                return what;
            }
            self.0.arrived.notified().await;
        }
    }

    /// What comes next, if there is something.
    pub fn try_recv(&mut self) -> Option<T> {
        self.0.desk().take()
    }

    /// From now on nothing finds room, until [`open`](Self::open). What waits can still be taken.
    pub fn close(&mut self) {
        self.0.desk().closed = true;
    }

    /// There is room again.
    pub fn open(&mut self) {
        self.0.desk().closed = false;
    }

    /// How much has found no room since the last call.
    pub fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.0.desk().missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { each: 3, all: 5 };

    #[test]
    fn everybody_has_their_turn() {
        let (to, mut from) = channel(Room { each: 100_000, all: 100_000 });
        for number in 0..10_000 {
            to.send("many", number).expect("room");
        }
        to.send("one", 1_000_000).expect("room");
        let first: Vec<i32> = (0..4).filter_map(|_| from.try_recv()).collect();
        assert_eq!(first, [0, 1_000_000, 1, 2], "in their own order, and one after the other");
        assert_eq!(std::iter::from_fn(|| from.try_recv()).count(), 9997);
    }

    #[test]
    fn what_finds_no_room_comes_back_and_whoever_has_nothing_waiting_has_a_place() {
        let (to, mut from) = channel(ROOM);
        assert_eq!((0..5).filter(|number| to.send("a", *number).is_ok()).count(), 3);
        assert_eq!((0..5).filter(|number| to.send("b", *number).is_ok()).count(), 2, "all together");
        assert_eq!(to.send("c", 0), Ok(()));
        assert_eq!(to.send("c", 1), Err(1));
        assert_eq!(from.missed(), 6);
        to.must_send("a", 9);
        assert_eq!(std::iter::from_fn(|| from.try_recv()).count(), 7);
        assert!(from.0.desk().queues.is_empty() && from.0.desk().turns.is_empty());
        let invented = (0..100).filter(|number| to.send(["x", "y"][number % 2], 0).is_ok()).count();
        assert!(invented <= 5);
    }

    #[test]
    fn a_closed_channel_takes_nothing_and_gives_what_it_has() {
        let (to, mut from) = channel(ROOM);
        assert_eq!(to.send("a", 1), Ok(()));
        from.close();
        assert_eq!(to.send("a", 2), Err(2));
        assert_eq!(from.try_recv(), Some(1));
        from.open();
        assert_eq!(to.send("a", 3), Ok(()));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let (to, mut from) = channel(ROOM);
        let waits = tokio::spawn(async move { from.recv().await });
        tokio::task::yield_now().await;
        to.send("a", 7).expect("room");
        assert_eq!(waits.await.expect("it ends"), 7);
    }
}
