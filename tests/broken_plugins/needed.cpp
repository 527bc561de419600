// The library that missing_dependency needs; it is deleted once that one is linked.
extern "C" __attribute__((visibility("default"))) int broken_plugins_needed() { return 1; }
