//! All tasks of an executor, so that it can end them.

use core::mem::replace;
use core::task::Waker;

/// End of the list of free entries.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
enum Entry {
    Free { next: u32 },
    Task(Waker),
}

/// A waker of each task that has not ended. To end a task, wake it and drop it instead of running
/// it.
#[derive(Debug)]
pub(in crate::net) struct Registry {
    entries: Vec<Entry>,
    free: u32,
    len: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self { entries: Vec::new(), free: NONE, len: 0 }
    }
}

impl Registry {
    /// Returns the number that the next task gets from [`add`](Self::add).
    pub(in crate::net) fn next(&self) -> u32 {
        if self.free == NONE { self.entries.len() as u32 } else { self.free }
    }

    /// Adds a task.
    pub(in crate::net) fn add(&mut self, waker: Waker) {
        self.len += 1;
        if self.free == NONE {
            self.entries.push(Entry::Task(waker));
            return;
        }
        let entry = &mut self.entries[self.free as usize];
        if let Entry::Free { next } = replace(entry, Entry::Task(waker)) {
            self.free = next;
        }
    }

    /// Removes a task that ends. Returns its waker, which the caller drops.
    pub(in crate::net) fn remove(&mut self, number: u32) -> Option<Waker> {
        let entry = self.entries.get_mut(number as usize)?;
        if matches!(entry, Entry::Free { .. }) {
            return None;
        }
        let former = replace(entry, Entry::Free { next: self.free });
        self.free = number;
        self.len -= 1;
        match former {
            Entry::Task(waker) => Some(waker),
            Entry::Free { .. } => None,
        }
    }

    /// Returns the number of tasks.
    pub(in crate::net) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the wakers of all tasks.
    pub(in crate::net) fn wakers(&self) -> Vec<Waker> {
        let task = |entry: &Entry| match entry {
            Entry::Task(waker) => Some(waker.clone()),
            Entry::Free { .. } => None,
        };
        self.entries.iter().filter_map(task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reused_and_each_task_is_listed_once() {
        let mut registry = Registry::default();
        let add = |registry: &mut Registry| {
            let number = registry.next();
            registry.add(Waker::noop().clone());
            number
        };
        let numbers: Vec<u32> = (0..3).map(|_| add(&mut registry)).collect();
        assert_eq!((numbers, registry.wakers().len()), (vec![0, 1, 2], 3));
        assert!(registry.remove(1).is_some() && registry.remove(1).is_none());
        assert_eq!(registry.len(), 2);
        assert_eq!((add(&mut registry), add(&mut registry), registry.len()), (1, 3, 4));
    }
}
