//! Neighbour Discovery: tables and properties.
