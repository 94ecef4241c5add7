"""What each platform calls its columns and codes. Its own business: the hub's layouts say the same again."""

from __future__ import annotations

CONTRACTS = ("key_unit", "inspection_personnel", "inspection_report")
BUSINESS_KEYS = {
    "key_unit": "unit_code",
    "inspection_personnel": "person_code",
    "inspection_report": "report_no",
}


def _split(texts: dict[str, str]) -> dict[str, list[str]]:
    return {contract: text.split() for contract, text in texts.items()}


_FIELDS = _split({
    "key_unit": (
        "unit_code division_code division_vintage src_org_uscc src_org_name uscc unit_name former_names site_no "
        "unit_category industry_code reg_address op_address lon lat crs coord_origin legal_rep_name "
        "safety_contact_name safety_contact_phone lp_class explosive_env inspect_cycle_months risk_level "
        "risk_code_colour risk_code_at listed_year list_doc_no superv_org_code unit_status"
    ),
    "inspection_personnel": (
        "person_code division_code division_vintage src_org_uscc src_org_name person_name id_type id_no inst_uscc "
        "ability_cert_no ability_valid_to title_level title_major post_role onboard_date leave_date person_status"
    ),
    "inspection_report": (
        "report_no division_code division_vintage src_org_uscc src_org_name report_short_no activity_no inst_uscc "
        "inst_name cert_no unit_code inspected_name project_name project_address contact_name contact_phone "
        "inspect_type lp_class inspect_date valid_from valid_to next_inspect_date conclusion conclusion_text n_units "
        "n_points n_fail_points items points basis tester reviewer signer issue_date uploaded_at file_sm3 file_ref "
        "seal_verified"
    ),
})  # fmt: skip
DATES = frozenset({
    "ability_valid_to", "onboard_date", "leave_date", "inspect_date", "valid_from", "valid_to",
    "next_inspect_date", "issue_date",
})  # fmt: skip
INSTANTS = frozenset({"risk_code_at", "uploaded_at"})
INTEGERS = frozenset({
    "division_vintage", "inspect_cycle_months", "listed_year", "n_units", "n_points", "n_fail_points",
})  # fmt: skip
DECIMALS = frozenset({"lon", "lat"})
BOOLEANS = frozenset({"explosive_env"})

_SHENGZHOU = _split({
    "key_unit": (
        "jgszm xzqhdm xzqhnf sjlydwdm sjlydw tyshxydm dwmc cym csxh dwlb hydm zcdz jydz jd wd zbx zbcjfs fddbr "
        "flaqzrr zrrdh fllb bzhj jczq fxdj fxmys fmsj lrnd gbwh jgdwdm dwzt"
    ),
    "inspection_personnel": (
        "rybm xzqhdm xzqhnf sjlydwdm sjlydw xm zjlx zjhm ssdwdm nlpjbh nlyxq zcdj zczy gw rzrq lzrq ryzt"
    ),
    "inspection_report": (
        "bgbh xzqhdm xzqhnf sjlydwdm sjlydw bgdbh jcxmbh jcjgdm jcjgmc zzzh sjdwszm sjdwmc xmmc xmdz lxr lxdh jclb "
        "fllb jcrq yxqq yxqz xcjcrq jcjl jlyw dtsl cdsl bhgcds zxm cd jcyj jcr jhr sqqzr qfrq scsj wjzy wjdz qzyz"
    ),
})  # fmt: skip
_DEQING = _split({
    "key_unit": (
        "监管数字码 行政区划 区划年份 来源单位代码 来源单位 信用代码 单位名称 曾用名 场所序号 单位类别 行业代码 注册地址 经营地址 "
        "经度 纬度 坐标系 坐标采集方式 法定代表人 防雷责任人 责任人电话 防雷类别 爆炸火灾环境 检测周期月 风险等级 风险码 "
        "赋码时间 列入年度 公布文号 监管单位代码 状态"
    ),
    "inspection_personnel": (
        "人员数字码 行政区划 区划年份 来源单位代码 来源单位 姓名 证件类型 证件号码 检测单位代码 能力评价编号 能力有效期 职称等级 "
        "职称专业 岗位 入职日期 离职日期 状态"
    ),
    "inspection_report": (
        "报告编号 行政区划 区划年份 来源单位代码 来源单位 短编号 项目编号 检测机构代码 检测机构 资质证号 受检单位数字码 受检单位 "
        "项目名称 项目地址 联系人 联系电话 检测类别 防雷类别 检测日期 有效期起 有效期止 下次检测日期 检测结论 结论原文 单体数量 "
        "测点数 不合格测点数 子项目 测点 检测依据 检测人 校核人 签字人 签发日期 上传时间 文件摘要 文件引用 签章验证"
    ),
})  # fmt: skip
_SHAOXING = _split({
    "key_unit": (
        "supervision_code area_code area_year source_code source_name credit_code name former_name site_no type_code "
        "industry_code reg_addr biz_addr longitude latitude crs locate_method legal_person duty_person duty_phone "
        "protect_class explosive cycle_months risk_grade risk_colour risk_time list_year list_doc org_code status"
    ),
    "inspection_personnel": (
        "supervision_code area_code area_year source_code source_name name card_type card_no org_code ability_no "
        "ability_until title_grade title_major post entry_date quit_date status"
    ),
    "inspection_report": (
        "report_code area_code area_year source_code source_name short_code project_code org_code org_name org_cert "
        "supervision_code unit_name project_name project_addr linkman link_phone check_type protect_class check_date "
        "begin_date end_date next_date result result_text building_count point_count bad_point_count items points "
        "standards checker proofreader approver sign_date upload_time file_digest file_path seal_state"
    ),
})  # fmt: skip


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _named(own: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    return {c: dict(zip(_FIELDS[c], own[c], strict=True)) for c in CONTRACTS}


# platform: contract: canonical field: the platform's column
COLUMNS: dict[str, dict[str, dict[str, str]]] = {
    "shengzhou": _named(_SHENGZHOU),
    "deqing": _named(_DEQING),
    "shaoxing": _named(_SHAOXING),
    "national": _named({c: [_camel(f) for f in _FIELDS[c]] for c in CONTRACTS}),
}
TABLES = {  # where each platform keeps a contract's records
    "shengzhou": {"key_unit": "t_zddw", "inspection_personnel": "t_jcry", "inspection_report": "t_jcbg"},
    "deqing": {c: c for c in CONTRACTS},
    "shaoxing": {"key_unit": "lps_key_unit", "inspection_personnel": "lps_inspector", "inspection_report": "lps_report"},
    "national": {c: c for c in CONTRACTS},
}  # fmt: skip

# platform: canonical field: canonical code to the platform's own
CODES: dict[str, dict[str, dict[str, str]]] = {
    "shengzhou": {
        "unit_category": {"10": "A01", "11": "A02", "12": "A03", "13": "A04", "14": "A05", "15": "A06", "19": "A09",
                          "20": "B01", "21": "B02", "29": "B09", "30": "C01"},
        "conclusion": {"1": "HG", "2": "BHG", "3": "ZGHG"},
    },
    "deqing": {
        "unit_category": {"10": "油库", "11": "气库", "12": "弹药库", "13": "化学品仓库", "14": "烟花爆竹", "15": "石化",
                          "19": "其他易燃易爆", "20": "矿区", "21": "旅游景点", "29": "其他场所", "30": "大型项目"},
        "lp_class": {"1": "一类", "2": "二类", "3": "三类", "9": "不分类"},
        "inspect_type": {"1": "定期检测", "2": "验收检测", "3": "复检", "4": "跟踪检测", "5": "首次检测"},
        "conclusion": {"1": "合格", "2": "不合格", "3": "整改后合格"},
        "post_role": {"1": "检测人", "2": "校核人", "3": "授权签字人", "4": "技术负责人", "5": "质量负责人"},
    },
    "shaoxing": {
        "unit_status": {"1": "normal", "2": "closed", "3": "revoked", "4": "cancelled", "5": "annulled", "6": "moved"},
    },
    "national": {},
}  # fmt: skip
YES_NO = {"shengzhou": ("是", "否"), "deqing": ("有", "无")}  # how text says a boolean
DATE_FORMAT = {"shengzhou": "%Y-%m-%d", "deqing": "%Y/%m/%d"}
INSTANT_FORMAT = {"shengzhou": "%Y-%m-%d %H:%M:%S", "deqing": "%Y/%m/%d %H:%M:%S"}
EMPTY = {"shengzhou": None, "deqing": "/"}  # what text says where a day of leaving is not known


def fields(contract: str) -> tuple[str, ...]:
    """The canonical fields that the platforms keep, in order."""
    return tuple(_FIELDS[contract])
