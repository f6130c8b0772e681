package mdraid

const supported = true
