//! Order in directed acyclic graphs.

use std::collections::BTreeSet;

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DagError {
    /// An edge names a node that does not exist.
    UnknownNode { from: usize, to: usize },
    /// These nodes wait for each other.
    Cycle { nodes: Vec<usize> },
}

/// An order of `0..nodes` in which every edge `(before, after)` points forward.
///
/// Of the nodes that are free, the smallest comes first, so the order is the same every time
/// (Kahn 1962, "Topological sorting of large networks"). O((nodes + edges) log nodes).
///
/// ```
/// assert_eq!(kernel_dag::topological_order(3, &[(2, 0), (0, 1)]), Ok(vec![2, 0, 1]));
/// ```
pub fn topological_order(nodes: usize, edges: &[(usize, usize)]) -> Result<Vec<usize>, DagError> {
    let mut waiting_for = vec![0usize; nodes];
    let mut followers = vec![Vec::new(); nodes];
    for &(from, to) in edges {
        if from >= nodes || to >= nodes {
            return Err(DagError::UnknownNode { from, to });
        }
        waiting_for[to] += 1;
        followers[from].push(to);
    }
    let mut free: BTreeSet<usize> = (0..nodes).filter(|node| waiting_for[*node] == 0).collect();
    let mut order = Vec::with_capacity(nodes);
    while let Some(node) = free.pop_first() {
        order.push(node);
        for &follower in &followers[node] {
            waiting_for[follower] -= 1;
            if waiting_for[follower] == 0 {
                free.insert(follower);
            }
        }
    }
    if order.len() == nodes {
        return Ok(order);
    }
    Err(DagError::Cycle { nodes: (0..nodes).filter(|node| waiting_for[*node] > 0).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_names_its_nodes() {
        assert_eq!(
            topological_order(3, &[(0, 1), (1, 2), (2, 1)]),
            Err(DagError::Cycle { nodes: vec![1, 2] })
        );
        assert_eq!(topological_order(1, &[(0, 3)]), Err(DagError::UnknownNode { from: 0, to: 3 }));
    }
}
