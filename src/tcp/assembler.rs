//! Which bytes past RCV.NXT have arrived out of order.

/// A bounded set of ranges past RCV.NXT.
#[derive(Debug, Default)]
pub struct Assembler;
