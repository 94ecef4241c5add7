SELECT platform, failures, words, retry_at FROM leishu.breakers WHERE retry_at > clock_timestamp()
