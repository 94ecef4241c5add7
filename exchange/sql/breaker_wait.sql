SELECT extract(epoch FROM next_call_at - clock_timestamp()) FROM leishu.breakers
WHERE platform = :platform AND next_call_at > clock_timestamp()
