//! ICMP: tables and properties.
