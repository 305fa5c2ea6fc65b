//! Cycles in a graph: its strongly connected components of more than one node (Tarjan 1972).

use std::collections::{BTreeMap, BTreeSet};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns the cycles of `graph`, each sorted.
pub(crate) fn of(graph: &Graph) -> Vec<Vec<String>> {
    let mut search = Search { graph, ..Search::new(graph) };
    for node in graph.keys() {
        if !search.numbers.contains_key(node.as_str()) {
            search.visit(node);
        }
    }
    search.cycles
}

struct Search<'g> {
    graph: &'g Graph,
    /// Order of the first visit, and the lowest number reachable from the node.
    numbers: BTreeMap<&'g str, (usize, usize)>,
    stack: Vec<&'g str>,
    cycles: Vec<Vec<String>>,
}

impl<'g> Search<'g> {
    fn new(graph: &'g Graph) -> Self {
        Self { graph, numbers: BTreeMap::new(), stack: Vec::new(), cycles: Vec::new() }
    }

    fn visit(&mut self, node: &'g str) -> usize {
        let number = self.numbers.len();
        self.numbers.insert(node, (number, number));
        self.stack.push(node);
        let mut low = number;
        for next in self.graph.get(node).into_iter().flatten() {
            match self.numbers.get(next.as_str()) {
                None => low = low.min(self.visit(next)),
                Some((other, _)) if self.stack.contains(&next.as_str()) => low = low.min(*other),
                Some(_) => {}
            }
        }
        self.numbers.insert(node, (number, low));
        if low == number {
            let from = self.stack.iter().position(|other| *other == node).expect("on the stack");
            let mut cycle: Vec<_> =
                self.stack.split_off(from).into_iter().map(String::from).collect();
            cycle.sort();
            if cycle.len() > 1 {
                self.cycles.push(cycle);
            }
        }
        low
    }
}

#[test]
fn a_cycle_is_found_and_a_chain_is_not_one() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).into()).or_default().insert((*to).into());
        }
        graph
    };
    assert!(of(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(of(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])), [["a", "b", "c"]]);
}
