//! flow_table
