pub(crate) fn write() {}
