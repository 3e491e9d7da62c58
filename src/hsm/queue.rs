//! What waits for the HSM, fair between those who ask.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

/// Whose a job is: nothing here knows what a domain is. Jobs of one lane wait for each other, and those of others hardly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane(pub(super) u64);

impl Lane {
    /// What the service itself asks: signatures and probes.
    pub(super) const OWN: Self = Self(0);

    /// What is done to keys beside all that, such as rewrapping them.
    pub(super) const UPKEEP: Self = Self(1);

    /// The lane of `name`. It is keyed, so that nobody chooses a name to share another one's.
    pub fn of(name: &str) -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEYS.hash_one(name))
    }
}

/// Items of many lanes. Lanes take turns, so that one with a thousand items costs another one turn.
pub(super) struct Queue<T> {
    lanes: HashMap<Lane, VecDeque<T>>,
    /// Lanes that have items, in the order of their turns.
    turns: VecDeque<Lane>,
    length: usize,
    most: usize,
}

impl<T> Queue<T> {
    /// A queue of at most `most` items.
    pub(super) fn new(most: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), length: 0, most }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// How many items would be taken before another one of `lane`.
    pub(super) fn before(&self, lane: Lane) -> usize {
        let own = self.lanes.get(&lane).map_or(0, VecDeque::len);
        let others = self.lanes.iter().filter(|(other, _)| **other != lane);
        others.map(|(_, items)| items.len().min(own.saturating_add(1))).sum::<usize>() + own
    }

    /// Puts `item` behind the others of `lane`. When the queue is full, what came last in the longest lane goes and is returned:
    /// who asks little gets in, however much others ask.
    pub(super) fn put(&mut self, lane: Lane, item: T) -> Option<T> {
        let mut gone = None;
        if self.length >= self.most {
            let longest = self.lanes.iter().max_by_key(|(_, items)| items.len());
            let longest = longest.map(|(lane, items)| (*lane, items.len()));
            let own = self.lanes.get(&lane).map_or(0, VecDeque::len);
            match longest {
                Some((longest, length)) if length > own.saturating_add(1) => {
                    gone = self.lanes.get_mut(&longest).and_then(VecDeque::pop_back);
                    self.length -= 1;
                }
                _ => return Some(item),
            }
        }
        self.lane(lane).push_back(item);
        self.length += 1;
        gone
    }

    /// Puts back what was taken, before all others of its lane, also where the queue is full.
    pub(super) fn put_back(&mut self, lane: Lane, item: T) {
        self.lane(lane).push_front(item);
        self.length += 1;
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<T> {
        let items = self.lanes.entry(lane).or_default();
        if items.is_empty() {
            self.turns.push_back(lane);
        }
        items
    }

    /// Takes the first item of the lane whose turn it is.
    pub(super) fn take(&mut self) -> Option<(Lane, T)> {
        let lane = self.turns.pop_front()?;
        let items = self.lanes.get_mut(&lane)?;
        let item = items.pop_front()?;
        self.length -= 1;
        if items.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        Some((lane, item))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drained(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take().map(|(_, item)| item)).collect()
    }

    #[test]
    fn a_long_lane_costs_another_one_turn() {
        let mut queue = Queue::new(100);
        for item in 0..10 {
            assert_eq!(queue.put(Lane(1), item), None);
        }
        assert_eq!((queue.before(Lane(1)), queue.before(Lane(2))), (10, 1));
        assert_eq!(queue.put(Lane(2), 100), None);
        assert_eq!(queue.put(Lane(2), 101), None);
        assert_eq!(drained(queue), [0, 100, 1, 101, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_full_queue_has_room_for_who_asks_little() {
        let mut queue = Queue::new(4);
        for item in 0..4 {
            assert_eq!(queue.put(Lane(1), item), None);
        }
        assert_eq!(queue.put(Lane(1), 4), Some(4));
        assert_eq!(queue.put(Lane(2), 10), Some(3));
        assert_eq!(queue.put(Lane(2), 11), Some(2));
        // Now they have the same.
        assert_eq!(queue.put(Lane(2), 12), Some(12));
        queue.put_back(Lane(3), 20);
        assert_eq!(queue.len(), 5);
        assert_eq!(drained(queue), [0, 10, 20, 1, 11]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_lanes_keep_their_order(
            steps in prop::collection::vec(prop::option::weighted(0.7, 0u64..4), 0..200),
        ) {
            let (mut queue, mut waiting) = (Queue::new(20), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(lane) = step.map(Lane) {
                    waiting.push((lane, number));
                    if let Some(gone) = queue.put(lane, number) {
                        waiting.retain(|(_, item)| *item != gone);
                    }
                } else if let Some((lane, item)) = queue.take() {
                    let first = waiting.iter().position(|(other, _)| *other == lane).unwrap();
                    prop_assert_eq!(waiting.remove(first), (lane, item));
                } else {
                    prop_assert!(waiting.is_empty());
                }
                prop_assert_eq!(queue.len(), waiting.len());
                prop_assert!(queue.len() <= 20);
            }
        }
    }
}
