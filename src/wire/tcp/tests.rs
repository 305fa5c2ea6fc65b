//! TCP headers: tables and properties.
