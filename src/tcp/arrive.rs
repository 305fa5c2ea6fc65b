//! arrive
